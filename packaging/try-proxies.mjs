// Runs clients and publishers behind a proxy and checks their events. try-proxies.sh starts it.
//
// Publishers never repeat a publish: the proxy has to get each one through. The clients are those of
// tests/js, unchanged, and resume by themselves. Prints "under way", figures, and "settled" after the line
// "settle"; then, after "minority", whether reads continue. Exits with 1 if anything failed, was missed or
// came twice.
import { spawn } from "node:child_process";
import readline from "node:readline";

const { plain, tls, node, map: slug } = JSON.parse(process.argv[2]);
const ADMIN = process.env.WAYPOST_ADMIN_TOKEN;
const PATIENCE_MS = 60_000;
const here = new URL("../tests/js/", import.meta.url).pathname;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const faults = [];
const fault = (what) => faults.push(what) && console.error(what);

async function api(base, token, method, path, body, headers = {}) {
  const answer = await fetch(base + path, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  return { status: answer.status, body: await answer.json().catch(() => null) };
}

const made = await api(node, ADMIN, "POST", "/api/maps", { slug, limits: { connections: null, requests_per_minute: null } });
if (made.status !== 201) throw new Error(`no map: ${JSON.stringify(made)}`);
const { id, token } = made.body.data;

// ---- clients
const clients = [];
function client(name, script, options) {
  const seen = { name, seqs: [], joins: 0 };
  const child = spawn("node", [here + script, JSON.stringify(options)], { stdio: ["pipe", "pipe", "inherit"] });
  readline.createInterface({ input: child.stdout }).on("line", (text) => {
    // phoenix.js itself prints messages that it can't read.
    if (!text.startsWith("{")) return console.error(name, text);
    const line = JSON.parse(text);
    if (line.t === "event") seen.seqs.push(line.payload.seq);
    if (line.t === "join" && line.status === "ok") seen.joins += 1;
    if (line.t === "connected") seen.joins += 1;
  });
  child.on("exit", () => seen.ending || fault(`${name} ended by itself`));
  clients.push({ seen, child });
}

const topic = `events:map:${id}`;
const stream = (base) => [`${base}/api/maps/${id}/events/stream`];
for (const [where, base] of [["plain", plain], ["TLS", tls]]) {
  client(`WebSocket, ${where}`, "phoenix_client.mjs", { urls: [base], token, topic, stay: true });
  client(`WebSocket anew, ${where}`, "phoenix_client.mjs", { urls: [base], token, topic });
  client(`long poll, ${where}`, "longpoll_client.mjs", { urls: [base], token, topic, stay: true });
  client(`event stream, ${where}`, "sse_client.mjs", { urls: stream(base), token, types: ["x", "keyless"], stay: true });
  client(`event stream anew, ${where}`, "sse_client.mjs", { urls: stream(base), token, types: ["x", "keyless"] });
}

async function until(what, probe) {
  const end = Date.now() + PATIENCE_MS;
  while (!probe()) {
    if (Date.now() > end) return fault(`not within ${PATIENCE_MS / 1000} s: ${what}`) && false;
    await sleep(20);
  }
  return true;
}
await until("all clients to be there", () => clients.every(({ seen }) => seen.joins > 0));

// ---- publishers
let publishing = true;
let number = 0;
const took = [];
const refused = {};
const keyless = { sent: 0, failed: {} };

async function publish(base, type, key) {
  const body = { type, payload: { number: number++ } };
  try {
    const answer = await api(base, token, "POST", `/api/maps/${id}/events`, body, key ? { "idempotency-key": key } : {});
    return answer.status === 201 ? null : `${answer.status} ${answer.body?.error ?? ""}`;
  } catch (error) {
    return String(error.cause?.code ?? error.name);
  }
}

const publishers = [plain, tls, plain, tls].map(async (base, p) => {
  for (let n = 0; publishing; n++) {
    const began = performance.now();
    const failed = await publish(base, "x", `${p}-${n}`);
    took.push(performance.now() - began);
    if (failed) refused[failed] = (refused[failed] ?? 0) + 1;
    await sleep(5);
  }
});
// Only the sender may repeat a publish without a key: failures are counted, not checked.
publishers.push((async () => {
  while (publishing) {
    keyless.sent += 1;
    const failed = await publish(plain, "keyless");
    if (failed) keyless.failed[failed] = (keyless.failed[failed] ?? 0) + 1;
    await sleep(20);
  }
})());
await until("the first events", () => clients.every(({ seen }) => seen.seqs.length > 20));
console.log("under way");

const orders = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
await orders.next(); // settle
publishing = false;
await Promise.all(publishers);
const failures = Object.entries(refused);
if (failures.length) fault(`publishes failed: ${JSON.stringify(refused)}`);

// ---- the result
async function newest(base) {
  let [after, last] = ["", 0];
  for (;;) {
    const page = await api(base, token, "GET", `/api/maps/${id}/events?limit=1000${after}`);
    const events = page.body?.data ?? [];
    if (page.status !== 200 || !events.length) return { status: page.status, last };
    last = events.at(-1).seq;
    after = `&after=${encodeURIComponent(events.at(-1).id)}`;
  }
}
const { last } = await newest(node);
for (const { seen } of clients) {
  // Nothing follows the last event, so events that a proxy holds back would stay there.
  await until(`event ${last} at ${seen.name}`, () => seen.seqs.at(-1) >= last);
  const missing = last - new Set(seen.seqs).size - (seen.seqs[0] - 1);
  const twice = seen.seqs.length - new Set(seen.seqs).size;
  const order = seen.seqs.every((seq, i) => i === 0 || seq > seen.seqs[i - 1]);
  if (seen.seqs[0] !== 1) fault(`${seen.name} begins with event ${seen.seqs[0]}`);
  if (missing || twice || !order) fault(`${seen.name}: ${missing} missing, ${twice} twice, in order: ${order}`);
  console.log(`  ${seen.name}: ${seen.seqs.length} events, ${missing} missing, ${twice} twice, ${seen.joins} connections`);
}
took.sort((a, b) => a - b);
const at = (share) => Math.round(took[Math.min(took.length - 1, Math.floor(took.length * share))]);
console.log(`  publishes with a key: ${took.length}, failed: ${failures.length ? JSON.stringify(refused) : 0}; ms p50 ${at(0.5)}, p99 ${at(0.99)}, longest ${at(1)}`);
console.log(`  without a key: ${keyless.sent}, failed: ${JSON.stringify(keyless.failed)}`);
console.log(`  events in the end: ${last}`);
console.log("settled");

await orders.next(); // minority
const refusedNow = await publish(plain, "x", "minority");
if (!refusedNow?.startsWith("503")) fault(`a publish without a majority: ${refusedNow}`);
for (let i = 0; i < 10; i++) {
  const read = await newest(plain);
  if (read.status !== 200 || read.last !== last) fault(`reading without a majority: ${JSON.stringify(read)}`);
}
console.log(`  without a majority: publishing ${refusedNow}; reading ${faults.length ? "FAILED" : "200"}`);
console.log("done");
for (const { seen, child } of clients) {
  seen.ending = true;
  child.stdin.end();
}
process.exitCode = faults.length ? 1 : 0;
process.stdin.destroy();

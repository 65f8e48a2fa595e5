// The package of clients/typescript, packed and installed, with the examples of the seed as printed but for hosts,
// keys and ids.
//
// Options: folder (where the package is installed), format (esm or cjs), url, token, map, and resume (the id of an
// endpoint of before; without it one is made, and the seed's request is sent to it).
// Lines: source (the endpoint), answer (to the seed's request), event, batch, dead_letter, reconnecting, and those of
// orders:
// - {do: send, url, events}: signed events, one or a list: line `sent`;
// - {do: refused, id, token}: connects with a token that may not manage consumers: lines `refused` and `read`;
// - {do: codes, id, url}: what else can go wrong: line `codes`;
// - {do: stop}: stops: line `stopped`.
// An event with `properties.fail` fails at each hand-over.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { options, orders, say } from "./lines.mjs";

const { folder, format, url, token, map, resume } = options;
const require = createRequire(`${folder}/load.cjs`);
const library =
  format === "cjs" ? require("@waypost/webhook-adapter") : await import(pathToFileURL(`${folder}/load.mjs`).href);
const { WebhookAdapter } = library;
const secretKey = "your-secret-key";

// `new WebhookAdapter()` finds what it needs here.
Object.assign(process.env, { WAYPOST_URL: url, WAYPOST_TOKEN: token, WAYPOST_MAP: map });

function processEvent(event) {
  say("event", { event });
  if (event.properties.fail) throw new Error(`no ${event.event_type}`);
}

function processBatch(events) {
  say("batch", { events });
  if (events.some((event) => event.properties.fail)) throw new Error("a bad batch");
}

function saveToDeadLetterQueue(event, error) {
  const { name, kind, attempts, message } = error;
  const known = error instanceof library.DeadLetterError && error instanceof library.AdapterError;
  say("dead_letter", { event, name, kind, attempts, message, known });
}

/** The seed, "Create Webhook Endpoint". */
async function create() {
  const adapter = new WebhookAdapter();

  const endpoint = await adapter.createEndpoint({
    name: 'Game Server Events',
    authentication: 'hmac',
    secretKey: 'your-secret-key'
  });

  console.log('Webhook URL:', endpoint.url);
  // https://api.gameinsights.io/webhooks/wh_abc123
  return { adapter, endpoint };
}

/** The seed, "API Key". */
async function createWithKey(adapter) {
  const endpoint = await adapter.createEndpoint({
    name: 'Game Server Events',
    authentication: 'api_key',
    apiKey: 'your-api-key'
  });
  return endpoint;
}

/** The seed, "HMAC Signature". */
async function createWithAlgorithm(adapter) {
  const endpoint = await adapter.createEndpoint({
    name: 'Game Server Events',
    authentication: 'hmac',
    secretKey: 'your-secret-key',
    hmacAlgorithm: 'sha256'
  });
  return endpoint;
}

/** The seed, "Sending signed requests". */
function sendSigned(webhookUrl, event) {
  const crypto = require('crypto');

  const payload = JSON.stringify(event);
  const timestamp = Date.now().toString();
  const signature = crypto
    .createHmac('sha256', 'your-secret-key')
    .update(`${timestamp}.${payload}`)
    .digest('hex');

  return fetch(webhookUrl, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      'X-Webhook-Timestamp': timestamp,
      'X-Webhook-Signature': `sha256=${signature}`
    },
    body: payload
  });
}

/** The seed, "Listening for Events". */
async function listen(adapter, id) {
  adapter.on("reconnecting", (error) => say("reconnecting", { kind: error.kind }));
  await adapter.connect({ endpointId: id });

  adapter.on('event', (event) => {
    console.log('Received:', event.event_type);
    processEvent(event);
  });

  adapter.on('batch', (events) => {
    console.log(`Received ${events.length} events`);
    processBatch(events);
  });

  await adapter.startListening();
}

/** The seed, "Retry Configuration". */
async function retry(adapter, id) {
  await adapter.connect({
    endpointId: id,
    retry: {
      enabled: true,
      maxRetries: 3,
      initialDelay: 1000,
      backoffMultiplier: 2
    }
  });

  adapter.on('dead_letter', (event, error) => {
    saveToDeadLetterQueue(event, error);
  });
}

/** The kind of error that this throws. */
async function kindOf(act) {
  try {
    await act();
    return "none";
  } catch (error) {
    if (!(error instanceof library.AdapterError)) throw error;
    return error.kind;
  }
}

let adapter;
orders({
  async send(order) {
    const target = { url: order.url, authentication: "hmac", secretKey };
    say("sent", { answer: await adapter.send(target, order.events) });
  },
  async refused(order) {
    const limited = new WebhookAdapter({ url, map, token: order.token });
    try {
      await limited.connect({ endpointId: order.id });
      say("refused", { kind: "none" });
    } catch (error) {
      say("refused", { kind: error.kind, status: error.status, message: error.message });
    }
    // A consumer that exists can be read with this token.
    say("read", { kind: await kindOf(() => limited.connect({ endpointId: order.id, manage: false })) });
  },
  async codes(order) {
    const plain = new WebhookAdapter({ url, map, token });
    const target = { url: order.url, authentication: "hmac", secretKey };
    say("codes", {
      unknown: await kindOf(() => plain.connect({ endpointId: "wh_abc123" })),
      unlistened: await kindOf(async () => {
        await plain.connect({ endpointId: order.id });
        await plain.startListening();
      }),
      key: await kindOf(() => plain.send({ ...target, secretKey: "another-key" }, { event_type: "x" })),
      batch: await kindOf(() => plain.send(target, [{ event_type: "x" }, { event: "x" }])),
      token: await kindOf(() => new WebhookAdapter({ url, map, token: "wp_wrong" }).listEndpoints()),
      nobody: await kindOf(() => new WebhookAdapter({ url: "http://127.0.0.1:1", map, token }).listEndpoints()),
    });
  },
  async stop() {
    await adapter.stop();
    say("stopped", { state: adapter.state });
  },
});

if (resume) {
  adapter = new WebhookAdapter();
  await listen(adapter, resume);
  await retry(adapter, resume);
  say("source", { source: await adapter.status() });
} else {
  const made = await create();
  adapter = made.adapter;
  const { endpoint } = made;
  await listen(adapter, endpoint.id);
  await retry(adapter, endpoint.id);
  say("source", { source: endpoint, others: [await createWithKey(adapter), await createWithAlgorithm(adapter)] });
  const event = {
    event_type: "purchase",
    timestamp: "2024-01-15T10:30:00Z",
    user_id: "user_123",
    properties: { item_id: "sword_001", amount: 9.99, currency: "USD" },
  };
  const response = await sendSigned(endpoint.url, event);
  say("answer", { status: response.status, body: await response.json() });
}

// npm phoenix over its long poll, whose polls are lost on the way: some are given up before their
// answer comes, of others the answer is thrown away, or a copy is sent beside them. Each is sent again
// as it was, as browsers and proxies do; phoenix itself knows nothing of it. Now and then the socket is
// disconnected and connects again.
//
// Options and orders: channel_client.mjs, and seed (a number: of all chance).
import { LongPoll } from "phoenix";
import { subscribe } from "./channel_client.mjs";
import { options } from "./lines.mjs";

let state = (options.seed ?? 1) >>> 0;
// mulberry32
function chance() {
  state = (state + 0x6d2b79f5) >>> 0;
  let z = state;
  z = Math.imul(z ^ (z >>> 15), z | 1);
  z ^= z + Math.imul(z ^ (z >>> 7), z | 61);
  return ((z ^ (z >>> 14)) >>> 0) / 2 ** 32;
}

const send = globalThis.fetch;

async function given_up(url, init, ms) {
  const signal = AbortSignal.any([AbortSignal.timeout(ms), ...(init.signal ? [init.signal] : [])]);
  try {
    await (await send(url, { ...init, signal })).text();
  } catch {
    // As it was meant to be, or the node died: asked again in either case.
  }
}

globalThis.fetch = async (url, init) => {
  if (init?.method !== "GET") return send(url, init);
  const fate = chance();
  if (fate < 0.15) await given_up(url, init, 1 + 200 * chance());
  // Answered whole, and thrown away.
  else if (fate < 0.25) await given_up(url, init, 5000);
  // A copy that nobody reads, at the same time.
  else if (fate < 0.35) given_up(url, init, 5000);
  init.signal?.throwIfAborted();
  return send(url, init);
};

const client = subscribe({ scheme: "http", constructor: LongPoll });
setInterval(() => chance() < 0.2 && client.reconnect(), 1000);

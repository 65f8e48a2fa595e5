// The package of clients/typescript in a page of Chromium: it makes an endpoint, sends itself a signed event, fails at
// first, and has it then.
//
// Options: package (its folder), url, token, map, chromium (the path of the executable), folder (where the browser
// keeps what it writes). Lines: event (what was handled at last), ended (with the adapter's state), page_error.
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { options, orders, say } from "./lines.mjs";

process.env.TMPDIR = options.folder;
const { chromium } = await import("playwright-core");

// How long the page may take.
const LIMIT = 60_000;
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

orders({});
const server = createServer(async (request, response) => {
  if (request.url === "/") return response.writeHead(200, { "content-type": "text/html" }).end("<title>Adapter</title>");
  const [, file] = /^\/esm\/([a-z_]+\.js)$/.exec(request.url) ?? [];
  if (!file) return response.writeHead(404).end();
  const source = await readFile(join(options.package, "dist/esm", file));
  return response.writeHead(200, { "content-type": "text/javascript" }).end(source);
});
server.listen(0, "127.0.0.1");
await once(server, "listening");

/** Runs in the page. */
async function listen({ url, token, map }) {
  const { WebhookAdapter } = await import("/esm/index.js");
  const adapter = new WebhookAdapter({ url, token, map });
  const endpoint = await adapter.createEndpoint({ name: "A page", authentication: "hmac" });
  await adapter.connect({ endpointId: endpoint.id, retry: { initialDelay: 10 } });
  const handled = new Promise((resolve) => {
    adapter.on("event", (event) => {
      if (event.attempt === 1) throw new Error("not yet");
      resolve(event);
    });
  });
  await adapter.startListening();
  await adapter.send(endpoint, { event_type: "from_page" });
  await window.say("event", { event: await handled });
  await adapter.stop();
  await window.say("ended", { state: adapter.state });
}

const browser = await chromium.launch({ executablePath: options.chromium, args: FLAGS, timeout: LIMIT });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(LIMIT);
  page.on("pageerror", (error) => say("page_error", { error: String(error) }));
  await page.exposeFunction("say", say);
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.evaluate(listen, { url: options.url, token: options.token, map: options.map });
} catch (error) {
  say("page_error", { error: String(error) });
} finally {
  await browser.close();
}

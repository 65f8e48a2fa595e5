// A page on the live socket, in Chromium.
//
// Options: urls (http://… of the nodes), token, chromium (the path of the executable), folder (where the browser keeps
// what it writes). It prints what the page tells (`frame`, `close`), and `page_error`. Orders: {do:"open"},
// {do:"list",n} (a line `list` with the texts once the page shows n entries), {do:"end"} (`ended`).
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { options, orders, say } from "./lines.mjs";

process.env.TMPDIR = options.folder;
const { chromium } = await import("playwright-core");

// How long the page may take to show something.
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
const FILES = { "/": ["index.html", "text/html"], "/client.js": ["client.js", "text/javascript"] };

const server = createServer(async (request, response) => {
  const [file, type] = FILES[new URL(request.url, "http://x").pathname] ?? [];
  if (!file) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": type }).end(await readFile(new URL(`live/${file}`, import.meta.url)));
});
server.listen(0, "127.0.0.1");
await once(server, "listening");

const browser = await chromium.launch({ executablePath: options.chromium, args: FLAGS, timeout: LIMIT });
let page;

const acts = {
  async open() {
    page = await browser.newPage();
    page.setDefaultTimeout(LIMIT);
    page.on("pageerror", (error) => say("page_error", { error: String(error) }));
    await page.exposeFunction("say", say);
    const query = new URLSearchParams({ token: options.token });
    for (const url of options.urls) query.append("url", url);
    await page.goto(`http://127.0.0.1:${server.address().port}/?${query}`);
  },
  async list({ n }) {
    await page.locator(`#events li:nth-child(${n})`).waitFor();
    say("list", { shown: await page.locator("#events li").allTextContents() });
  },
  async end() {
    await browser.close();
    say("ended");
  },
};

const told = (act) => (order) =>
  Promise.resolve(order)
    .then(act)
    .catch((error) => say("page_error", { order, error: String(error) }));
orders(Object.fromEntries(Object.entries(acts).map(([name, act]) => [name, told(act)])));
say("serving");

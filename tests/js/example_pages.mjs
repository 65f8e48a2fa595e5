// Pages of the examples in Chromium, each in a browser of its own as far as storage goes.
//
// Options: root (a folder whose files are served; its `node_modules` are those of this folder), chromium (the path of
// the executable), folder (where the browser keeps what it writes). It prints `serving` with the URL, and `page_error`.
// Orders: {do:"open",page,url} (a whole URL, or a path below the root), {do:"send",page,text} (by the form `#send`),
// {do:"type",page,text} (into it), {do:"shown",page,selector,text} (a line `shown` once an element there has exactly
// this text), {do:"texts",page,selector} (a line `texts` with the texts of all), {do:"end"} (`ended`).
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { options, orders, say } from "./lines.mjs";

process.env.TMPDIR = options.folder;
const { chromium } = await import("playwright-core");

// How long a page may take to show something.
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
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript" };
const here = path.dirname(fileURLToPath(import.meta.url));

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://x");
  const root = pathname.startsWith("/node_modules/") ? here : options.root;
  const file = await readFile(path.join(root, pathname)).catch(() => null);
  if (!file) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[path.extname(pathname)] ?? "application/octet-stream" }).end(file);
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
const base = `http://127.0.0.1:${server.address().port}`;

const browser = await chromium.launch({ executablePath: options.chromium, args: FLAGS, timeout: LIMIT });
const pages = new Map();

const acts = {
  async open({ page: name, url }) {
    const page = await (await browser.newContext()).newPage();
    pages.set(name, page);
    page.setDefaultTimeout(LIMIT);
    page.on("pageerror", (error) => say("page_error", { page: name, error: String(error) }));
    await page.goto(new URL(url, base).href);
    say("opened", { page: name });
  },
  async send({ page, text }) {
    await pages.get(page).fill("#send input", text);
    await pages.get(page).click("#send button");
  },
  type: ({ page, text }) => pages.get(page).fill("#send input", text),
  async shown({ page, selector, text }) {
    const is = ([selector, text]) => [...document.querySelectorAll(selector)].some((one) => one.textContent === text);
    await pages.get(page).waitForFunction(is, [selector, text]);
    say("shown", { page, selector, text });
  },
  async texts({ page, selector }) {
    say("texts", { page, selector, texts: await pages.get(page).locator(selector).allTextContents() });
  },
  async end() {
    await browser.close();
    say("ended");
  },
};

const told = (act) => (order) =>
  Promise.resolve(order)
    .then(act)
    .catch((error) => say("page_error", { page: order.page, order, error: String(error) }));
orders(Object.fromEntries(Object.entries(acts).map(([name, act]) => [name, told(act)])));
say("serving", { url: base });

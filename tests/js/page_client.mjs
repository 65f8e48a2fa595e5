// The chat of `chat/` in pages of Chromium. The application runs once for each node, and has nothing of its own but
// the variables that name host, key and secret.
//
// Options: urls (http://… of the nodes), app ({id, key, secret}), master (the key of encrypted channels, base64),
// chromium (the path of the executable), folder (where the browser keeps what it writes).
// It prints `serving` with the URLs of the applications, then lines with `user` for all that a page tells, `webhook`
// for each request of a webhook, and `page_error`.
// Orders: {do:"open",user,node}, {do:"whisper",user,event,data}, {do:"ask",user,n,path,body} (the page asks its back
// end: `answer` with n, status and body), {do:"send",user,text} (by the form), {do:"shown",user,selector,text} (a
// line `shown` once the page shows the text there), {do:"close",user}, {do:"end"} (`ended` once the browser has).
import { once } from "node:events";
import { serve } from "./chat/server.mjs";
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

async function application(url) {
  const { hostname, port } = new URL(url);
  const env = {
    PUSHER_APP_ID: options.app.id,
    PUSHER_APP_KEY: options.app.key,
    PUSHER_APP_SECRET: options.app.secret,
    PUSHER_MASTER_KEY: options.master,
    PUSHER_HOST: hostname,
    PUSHER_PORT: port,
    PUSHER_SCHEME: "http",
  };
  const server = serve(env, say);
  await once(server, "listening");
  return `http://127.0.0.1:${server.address().port}`;
}

const applications = await Promise.all(options.urls.map(application));
const browser = await chromium.launch({ executablePath: options.chromium, args: FLAGS, timeout: LIMIT });
const pages = new Map();

async function open({ user, node }) {
  // A context has cookies of its own.
  const context = await browser.newContext();
  const page = await context.newPage();
  pages.set(user, page);
  page.setDefaultTimeout(LIMIT);
  page.on("pageerror", (error) => say("page_error", { user, error: String(error) }));
  await page.exposeFunction("say", (kind, more) => say(kind, { user, ...more }));
  await page.goto(`${applications[node]}/?user=${user}`);
}

const acts = {
  open,
  whisper: ({ user, event, data }) =>
    pages.get(user).evaluate(([event, data]) => window.whisper(event, data), [event, data]),
  async ask({ user, n, path, body }) {
    const answer = await pages.get(user).evaluate(([path, body]) => window.post(path, body), [path, body]);
    say("answer", { user, n, ...answer });
  },
  async send({ user, text }) {
    await pages.get(user).fill("#send input", text);
    await pages.get(user).click("#send button");
  },
  async shown({ user, selector, text }) {
    await pages.get(user).locator(selector, { hasText: text }).first().waitFor();
    say("shown", { user, selector, text });
  },
  close: ({ user }) => pages.get(user).context().close(),
  async end() {
    await browser.close();
    say("ended");
  },
};

const told = (act) => (order) =>
  Promise.resolve(order)
    .then(act)
    .catch((error) => say("page_error", { user: order.user, order, error: String(error) }));
orders(Object.fromEntries(Object.entries(acts).map(([name, act]) => [name, told(act)])));
say("serving", { urls: applications });

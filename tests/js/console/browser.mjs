// Chromium for the pages of the console: contexts that tell of everything that goes wrong in them.
import { createRequire } from "node:module";
import { readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { options, say } from "../lines.mjs";

process.env.TMPDIR = options.folder;
const { chromium } = await import("playwright-core");

// How long a page may take to show something, in milliseconds.
export const LIMIT = 60_000;
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const LOOKS = {
  light: { viewport: { width: 1280, height: 860 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 860 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, colorScheme: "light", isMobile: true, hasTouch: true },
};
export const LOOK_NAMES = Object.keys(LOOKS);

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const browser = await chromium.launch({ executablePath: options.chromium, args: FLAGS, timeout: LIMIT });

/** The hosts of the nodes, one of which a proxy before them has, too: everything else is elsewhere. */
const own = new Set(options.urls.map((url) => new URL(url).hostname));

/** Opens a page. Whoever it is for stands in each line about it. */
export async function open(who, look, cookies = []) {
  // A context has cookies of its own.
  const context = await browser.newContext({ ...LOOKS[look], reducedMotion: "reduce" });
  await context.addCookies(cookies);
  const page = await context.newPage();
  page.setDefaultTimeout(LIMIT);
  page.on("pageerror", (error) => say("page_error", { who, error: String(error) }));
  page.on("console", (message) => {
    const { url } = message.location();
    if (message.type() === "error" && !isExpected(message.text(), url)) {
      say("console_error", { who, text: message.text(), url });
    }
  });
  // A request to elsewhere.
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    const isElsewhere = !["data:", "blob:"].includes(protocol) && !own.has(hostname);
    if (isElsewhere) say("elsewhere", { who, url: request.url() });
  });
  // Nobody has signed in before the first sign-in: to ask for the session is no error then.
  page.on("response", async (response) => {
    const request = response.request();
    if (request.method() !== "GET" || !isExpected(String(response.status()), response.url())) return;
    const { cookie = "" } = await request.allHeaders().catch(() => ({ cookie: "waypost_session=" }));
    if (!cookie.includes("waypost_session=")) say("console_error", { who, text: "no session", url: response.url() });
  });
  await page.exposeFunction("tellViolation", (directive, uri) => say("csp", { who, directive, uri }));
  await page.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      window.tellViolation(event.violatedDirective, `${event.blockedURI} ${event.sourceFile}:${event.lineNumber}`);
    });
  });
  return page;
}

/** A sign-in that is refused, and a session that has ended: the browser calls these errors. */
function isExpected(text, url) {
  return url.endsWith("/console/session") && /\b40[13]\b/.test(text);
}

/** The address of a page of a node's console. */
export function at(url, fragment = "") {
  return `${url}/console/${fragment}`;
}

/** How often axe-core looks at a page in which it found something. */
const TIMES = 3;

/**
 * What axe-core finds in the page as it stands, a line each. The page changes while axe-core looks: a row that goes
 * meanwhile may seem to be wrong. So what counts breaks a rule at each look.
 */
export async function faults(page) {
  let found = await violations(page);
  for (let looks = 1; looks < TIMES && found.length > 0; looks++) {
    const rules = new Set((await violations(page)).map(({ rule }) => rule));
    found = found.filter(({ rule }) => rules.has(rule));
  }
  return found.map(({ rule, text }) => `${rule}: ${text}`);
}

async function violations(page) {
  // Not as an element of the page: its CSP would refuse that.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { preload: false, resultTypes: ["violations"] }));
  return found.violations.flatMap(({ id, nodes }) =>
    nodes.map((node) => ({
      rule: id,
      text: `${node.target.join(" ")}: ${node.failureSummary ?? ""}`.replaceAll("\n", " "),
    })),
  );
}

/** How many pixels of the page are beside the window. */
export function overflow(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
}

/** Waits until the shown page has its title and awaits nothing. */
export async function settled(page) {
  await page.locator("#main h1").first().waitFor();
  await page.locator("#main .spinner").first().waitFor({ state: "detached" });
}

/** Waits until it is so. */
export async function until(what, holds) {
  const end = Date.now() + LIMIT;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`it never came: ${what}`);
    await sleep(100);
  }
}

export function close() {
  return browser.close();
}

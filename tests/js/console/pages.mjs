// A person who uses the console in Chromium.
//
// Options: urls (http://… of the nodes, the first of which is used), admin (the token), token (of the map, to read
// alone), map (its slug), webhook (the id of one that delivers), own (what the map's token gets: a fragment, and what
// the page must show), markup (the same for texts full of markup), pictures (a folder for pictures of each page, or
// null), chromium (the path of the executable), folder (where the browser keeps what it writes).
// Lines: `visited` {look, page, faults (of axe-core), overflow}, `shown` {page, text}, `opened` {what}, `made` {link,
// typed}, `csp`, `console_error`, `page_error`, `elsewhere`, `failed` {order, error}, `ended`.
// Orders, each answered with `done` {do}: {do:"signin"} (by the form, and refused first), {do:"visit",look,page} (a
// fragment), {do:"leave",look}, {do:"keys"}, {do:"makes"}, {do:"markup"}, {do:"lively",part} (what moves is held:
// "tail", "attempts", "connections"), {do:"own"}, {do:"watch"} (a page at the first node, one by the proxy),
// {do:"lost",before} (once the first node is gone, which the proxied page asked by the name `before`), {do:"signout"},
// {do:"end"}.
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { options, orders, say } from "../lines.mjs";
import { at, close, faults, open, overflow, settled } from "./browser.mjs";
import { lively } from "./lively.mjs";
import { proxy } from "./proxy.mjs";

const [first] = options.urls;
/** What some pages show because of the load, by their name in the address. */
const LOADED = { tail: ".ev-row", subjects: "tbody tr", connections: "tbody tr", consumers: "tbody tr" };
let cookies = [];
/** The pages that stay open. */
const kept = {};

async function enter(page, url, token) {
  await page.goto(at(url));
  await page.getByLabel("Token", { exact: false }).fill(token);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

async function signin() {
  const page = await open("signin", "light");
  await enter(page, first, "a token that nobody knows");
  await page.getByText("No map and no cluster here knows this token.").waitFor();
  say("visited", { look: "light", page: "sign-in", faults: await faults(page), overflow: await overflow(page) });
  await enter(page, first, options.admin);
  await settled(page);
  const { hash } = new URL(page.url());
  say("opened", { what: hash });
  const own = await page.context().cookies();
  // A cookie is for one host. The session is good at every node, whatever its host is called.
  cookies = own.flatMap(({ name, value }) => options.urls.map((url) => ({ name, value, url, sameSite: "Strict" })));
  say("cookie", { cookies: own.map(({ name, httpOnly, sameSite, path }) => ({ name, httpOnly, sameSite, path })) });
  // Nothing that opens something is kept where a script can read it.
  const kinds = () => JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }]);
  const readable = await page.evaluate(kinds);
  say("readable", { text: readable });
  await page.context().close();
}

async function visit({ look, page: fragment }) {
  if (kept[look] === undefined) {
    kept[look] = await open(look, look, cookies);
    await kept[look].goto(at(first));
    await settled(kept[look]);
  }
  const page = kept[look];
  await page.evaluate((hash) => (location.hash = hash), fragment);
  await settled(page);
  const { name } = placeOf(fragment);
  if (LOADED[name] !== undefined) await page.locator(`#main ${LOADED[name]}`).first().waitFor();
  say("visited", { look, page: fragment, faults: await faults(page), overflow: await overflow(page) });
  if (options.pictures) await picture(page, look, fragment);
}

async function leave({ look }) {
  await kept[look].context().close();
  delete kept[look];
}

/** The name of a page, and which of several things it is about. */
function placeOf(fragment) {
  const [path] = fragment.slice("#/".length).split("?");
  const [of, , name = of, one] = path.split("/");
  return { name, one };
}

async function picture(page, look, fragment) {
  await mkdir(options.pictures, { recursive: true });
  const { name, one } = placeOf(fragment);
  // One of several things: webhooks/<id> is the picture of a webhook.
  const title = one === undefined ? name : name.replace(/s$/, "");
  await page.screenshot({ path: join(options.pictures, `console-${title}-${look}.png`) });
}

/** Everything by the keyboard. */
async function keys() {
  const page = await open("keys", "light", cookies);
  await page.goto(at(first, "#/cluster"));
  await settled(page);
  const step = async (what, press, wait) => {
    for (const key of press) await page.keyboard.press(key);
    await wait();
    say("opened", { what });
  };
  const titled = (text) => () => page.getByRole("heading", { level: 1, name: text }).waitFor();
  await step("maps by g m", ["g", "m"], titled("Maps"));
  await step("search by /", ["/"], () => page.locator('input[type="search"]:focus').waitFor());
  await page.locator("#main tbody a").first().waitFor();
  await page.keyboard.type(options.map);
  await step("the map by Enter", ["Enter"], async () => {
    await page.waitForURL(/\/overview$/);
    // As long as the search stands there, a letter is text.
    await page.locator('#main input[type="search"]').waitFor({ state: "detached" });
  });
  await step("subjects by g s", ["g", "s"], titled("Subjects"));
  await page.getByRole("main").focus();
  await step("help by ?", ["?"], () => page.getByRole("dialog", { name: "Shortcuts" }).waitFor());
  say("visited", { look: "light", page: "help", faults: await faults(page), overflow: await overflow(page) });
  await step("no help by Escape", ["Escape"], () => page.getByRole("dialog").waitFor({ state: "detached" }));
  await step("cluster by g c", ["g", "c"], titled("Cluster"));
  await page.locator("#main tbody tr").first().focus();
  await step("a node by Enter", ["ArrowDown", "Enter"], () => page.getByRole("button", { name: "Drain" }).waitFor());
  await page.getByRole("button", { name: "Drain" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText(/waypost cluster drain /).waitFor();
  const inside = await page.evaluate(() => document.querySelector("dialog")?.contains(document.activeElement));
  say("opened", { what: inside ? "a question with its command line" : "a question without the focus" });
  say("visited", { look: "light", page: "question", faults: await faults(page), overflow: await overflow(page) });
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await page.context().close();
}

/** What is made in dialogs and forms: a map by Enter, a portal link, and a webhook that is left unsaved. */
async function makes() {
  const page = await open("makes", "light", cookies);
  await page.goto(at(first, "#/maps"));
  await settled(page);
  const dialog = page.getByRole("dialog");
  const button = (name, inside = page) => inside.getByRole("button", { name, exact: true });
  await button("Create a map").click();
  await dialog.getByLabel("Slug").fill("made-by-enter");
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "The map is made" }).waitFor();
  await page.keyboard.press("Escape");
  // What is shown once goes by its own button alone.
  await dialog.getByRole("link", { name: "Open made-by-enter" }).click();
  await page.waitForURL(/made-by-enter\/overview$/);
  await page.evaluate((hash) => (location.hash = hash), `#/maps/${options.map}/webhooks`);
  await settled(page);
  await button("Portal link").click();
  await dialog.getByText(/waypost portal link /).waitFor();
  say("visited", { look: "light", page: "portal link", faults: await faults(page), overflow: await overflow(page) });
  await button("Make the link").click();
  const made = page.getByRole("dialog", { name: "The link is made" });
  const link = await made.getByRole("group", { name: "The link" }).textContent();
  await button("Close", made).last().click();
  await page.getByRole("link", { name: "New webhook" }).click();
  await page.getByLabel("Name").fill("half typed");
  await page.getByRole("link", { name: "Live tail" }).click();
  await page.getByRole("dialog", { name: "Leave without saving?" }).waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  const typed = await page.getByLabel("Name").inputValue();
  await page.getByRole("link", { name: "Live tail" }).click();
  await button("Leave", dialog).click();
  await page.waitForURL(/\/tail$/);
  say("made", { link: link.trim(), typed });
  await page.context().close();
}

/** Names and payloads full of markup are texts. */
async function markup() {
  const page = await open("markup", "light", cookies);
  await page.goto(at(first));
  // The page goes to its first address once it knows who is signed in.
  await settled(page);
  for (const { page: fragment, text } of options.markup) {
    await page.evaluate((hash) => (location.hash = hash), fragment);
    await settled(page);
    // In the page itself: the list of maps beside it is folded.
    await page.locator("#main").getByText(text, { exact: false }).first().waitFor();
    const made = await page.evaluate(() => document.querySelectorAll("#app img, #app script, #app b.owned").length);
    say("shown", { page: fragment, text, made, owned: await page.evaluate(() => "owned" in window) });
  }
  await page.context().close();
}

/** What the map's token sees. */
async function own() {
  const page = await open("own", "light");
  await enter(page, first, options.token);
  await settled(page);
  const links = await page.locator("aside nav a").allTextContents();
  say("navigation", { links: links.map((text) => text.trim()) });
  for (const { page: fragment, text } of options.own) {
    await page.evaluate((hash) => (location.hash = hash), fragment);
    await page.getByText(text, { exact: false }).first().waitFor();
    say("shown", { page: fragment, text, made: 0, owned: false });
  }
  await page.context().close();
}

async function watch() {
  kept.direct = await open("direct", "light", cookies);
  kept.proxied = await open("proxied", "light", cookies);
  await kept.direct.goto(at(first, "#/cluster"));
  await kept.proxied.goto(at(await proxy(options.urls), "#/cluster"));
  for (const page of [kept.direct, kept.proxied]) await settled(page);
  say("asked", { who: await asked(kept.proxied) });
}

/** The node that the page asks, as it says. */
async function asked(page) {
  const text = await page.getByText(/^Asking /).textContent();
  return text.replace("Asking ", "");
}

async function lost({ before }) {
  await kept.direct.getByText("Connection lost, trying again.").waitFor();
  const link = kept.direct.getByRole("link", { name: / at 127(\.\d+){3}:/ }).first();
  await link.waitFor();
  say("elsewhere_is", { href: await link.getAttribute("href") });
  await kept.proxied.locator("aside p", { hasText: "Asking ", hasNotText: before }).waitFor();
  say("asked", { who: await asked(kept.proxied) });
  await kept.proxied.getByText("unreachable").first().waitFor();
  // The link leads to the same page, and the session is good there.
  await link.click();
  await settled(kept.direct);
  await kept.direct.getByRole("heading", { level: 1, name: "Cluster" }).waitFor();
  say("asked", { who: await asked(kept.direct) });
}

async function signout() {
  const page = kept.proxied;
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByRole("button", { name: "Sign in", exact: true }).waitFor();
  await page.reload();
  await page.getByRole("button", { name: "Sign in", exact: true }).waitFor();
}

async function end() {
  await close();
  say("ended");
}

const held = ({ part }) => lively(part, cookies);
const acts = { signin, visit, leave, keys, makes, markup, lively: held, own, watch, lost, signout, end };
const told = (act) => (order) =>
  Promise.resolve(order)
    .then(act)
    .then(() => say("done", { do: order.do, look: order.look ?? null }))
    .catch((error) => say("failed", { order, error: String(error) }));
orders(Object.fromEntries(Object.entries(acts).map(([name, act]) => [name, told(act)])));
say("ready");

// What a person does while events come: holds what moves, looks at it, and lets it go on.
import { options, say } from "../lines.mjs";
import { at, faults, open, overflow, settled, until } from "./browser.mjs";

const PARTS = {
  tail: { of: "tail", act: tail },
  attempts: { of: `webhooks/${options.webhook}`, act: attempts },
  connections: { of: "connections", act: connections },
};

export async function lively(part, cookies) {
  const { of, act } = PARTS[part];
  const page = await open("lively", "light", cookies);
  await page.goto(at(options.urls[0], `#/maps/${options.map}/${of}`));
  await settled(page);
  await act(page);
  await page.context().close();
}

/** A paused tail stands still while events wait. The chosen event stays when the tail goes on. */
async function tail(page) {
  const rows = page.locator("#main .ev-row");
  const newest = () => rows.first().textContent();
  const detail = page.locator("#main .ev-detail");
  const chosen = () => detail.getAttribute("aria-label");
  await rows.first().waitFor();
  await page.keyboard.press("p");
  await page.getByRole("button", { name: "Resume", exact: true }).waitFor();
  const before = await newest();
  await page.getByText(/^[1-9][\d,]* wait$/).waitFor();
  stays("the paused tail", before, await newest());
  await page.getByRole("listbox", { name: "Events, the newest first" }).focus();
  await page.keyboard.press("ArrowDown");
  await detail.waitFor();
  const event = await chosen();
  await page.keyboard.press("Space");
  await until("newer events", async () => (await newest()) !== before);
  stays("the chosen event", event, await chosen());
  await look(page, "a chosen event");
}

/** The attempts of a webhook, of which a node remembers few, can be held. */
async function attempts(page) {
  const rows = page.getByRole("group", { name: "Attempts", exact: true }).locator("tbody tr");
  // The ids of the events. The times are told in words, which change by themselves.
  const shown = async () => (await rows.locator("td:last-child").allTextContents()).join(" ");
  const read = () => page.waitForResponse((answer) => new URL(answer.url()).pathname.endsWith("/attempts"));
  await rows.first().waitFor();
  await page.getByLabel("Hold the list").check();
  const before = await shown();
  await read();
  // When they are read once more, what was read before is drawn.
  await read();
  stays("the held list", before, await shown());
  await look(page, "a held list");
  await page.getByLabel("Hold the list").uncheck();
  await until("newer attempts", async () => (await shown()) !== before);
}

/** The list of connections says whether it is read again. */
async function connections(page) {
  const again = page.getByText("read every 5 seconds");
  await again.waitFor();
  await page.getByLabel("Hold the list").check();
  await again.waitFor({ state: "detached" });
  await page.getByLabel("Hold the list").uncheck();
  await again.waitFor();
}

async function look(page, what) {
  say("visited", { look: "light", page: what, faults: await faults(page), overflow: await overflow(page) });
}

function stays(what, before, after) {
  if (after !== before) throw new Error(`${what} was ${before}, and is ${after}`);
}

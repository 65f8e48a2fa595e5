import assert from "node:assert/strict";
import { test } from "node:test";

const events = new EventTarget();
const place = { hash: "#/maps/m/webhooks/new" };
const inTheirWay: string[] = [];

class FakeElement extends EventTarget {
  constructor(readonly hash: string) {
    super();
  }
  closest(): this {
    return this;
  }
}

Object.assign(globalThis, {
  Element: FakeElement,
  window: globalThis,
  parent: globalThis,
  location: place,
  history: { replaceState: (_: unknown, __: string, to: string) => (place.hash = to) },
  addEventListener: events.addEventListener.bind(events),
  removeEventListener: events.removeEventListener.bind(events),
});

const { follow, go, hold, route } = await import("../src/router");
let answer = false;
follow((what) => {
  inTheirWay.push(what);
  return Promise.resolve(answer);
});

const settle = () => new Promise((resolve) => setTimeout(resolve, 1));

/** What the browser does when its address changes. */
function changed(to: string = place.hash): void {
  place.hash = to;
  events.dispatchEvent(new Event("hashchange"));
}

/** Presses a link; returns whether the browser follows it. */
function press(hash: string): boolean {
  const click = new Event("click", { cancelable: true });
  Object.defineProperties(click, { target: { value: new FakeElement(hash) }, button: { value: 0 } });
  return events.dispatchEvent(click);
}

/** Whether the browser asks before the tab is closed. */
function warns(): boolean {
  return !events.dispatchEvent(new Event("beforeunload", { cancelable: true }));
}

test("a page with nothing typed is left without a question", () => {
  assert.equal(press("#/maps/m/tail"), true);
  changed("#/maps/m/tail");
  assert.deepEqual([route.value.path, inTheirWay, warns()], [["maps", "m", "tail"], [], false]);
  changed("#/maps/m/webhooks/new");
});

test("a page that holds something is left only after somebody said so, whichever way", async () => {
  const release = hold("the new webhook");
  const here = ["maps", "m", "webhooks", "new"];
  assert.equal(warns(), true);
  assert.equal(press("#/maps/m/tail"), false, "a link waits");
  await settle();
  go(["maps", "m"]);
  await settle();
  changed("#/");
  await settle();
  assert.deepEqual(inTheirWay, ["the new webhook", "the new webhook", "the new webhook"]);
  assert.deepEqual([route.value.path, place.hash], [here, "#/maps/m/webhooks/new"]);
  changed("#/maps/m/webhooks/new?tab=2");
  assert.deepEqual([route.value.path, inTheirWay.length], [here, 3], "a parameter is no other page");
  answer = true;
  assert.equal(press("#/maps/m/tail"), false);
  await settle();
  changed();
  assert.deepEqual([route.value.path, warns()], [["maps", "m", "tail"], false]);
  release();
});

test("what is saved holds nobody up", async () => {
  inTheirWay.length = 0;
  hold("a form")();
  go(["maps", "m", "consumers"]);
  changed();
  await settle();
  assert.deepEqual([inTheirWay, route.value.path, warns()], [[], ["maps", "m", "consumers"], false]);
});

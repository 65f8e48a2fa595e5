import assert from "node:assert/strict";
import { test } from "node:test";
import type { Schemas } from "../src/api";
import { growthOf, looked, type Look } from "../src/lib/delivery/trend";
import type { Event } from "../src/lib/history/event";
import { rankOf, troublesOf } from "../src/lib/maps/standings";
import { toldOf } from "../src/lib/operators/words";

const WEBHOOKS: Schemas["WebhookStandings"] = {
  total: 0,
  losing: 0,
  disabled: 0,
  failing: 0,
  throttled: 0,
  behind: 0,
  paused: 0,
  healthy: 0,
};
const CONSUMERS: Schemas["ConsumerStandings"] = {
  total: 0,
  losing: 0,
  unread: 0,
  behind: 0,
  reading: 0,
  up_to_date: 0,
};

test("what is wrong in a map stands before what is late, and what is well is not told", () => {
  const standings = {
    webhooks: { ...WEBHOOKS, total: 5, failing: 2, behind: 1, healthy: 1, paused: 1 },
    consumers: { ...CONSUMERS, total: 2, unread: 1, reading: 1 },
  };
  assert.deepEqual(
    troublesOf(standings).map(({ text, tone, of }) => [text, tone, of]),
    [
      ["2 webhooks fail", "bad", "webhooks"],
      ["1 consumer is not read", "bad", "consumers"],
      ["1 webhook is behind", "warn", "webhooks"],
    ],
  );
  assert.deepEqual(troublesOf({ webhooks: null, consumers: null }), []);
});

test("maps are sorted by what is worst in them", () => {
  const of = (webhooks: Partial<Schemas["WebhookStandings"]>) => ({
    webhooks: { ...WEBHOOKS, ...webhooks },
    consumers: CONSUMERS,
  });
  const ranks = [of({ failing: 1 }), of({ behind: 1 }), of({ healthy: 1 }), null].map(rankOf);
  assert.deepEqual(ranks, [0, 1, 2, 3]);
  assert.equal(rankOf({ webhooks: null, consumers: null }), 3);
});

test("what waits grows or shrinks over the looks of a minute", () => {
  const look = (at: number, waits: number): Look => ({ at: at * 1000, waits: new Map([["a", waits]]) });
  let looks: readonly Look[] = [];
  for (const [at, waits] of [
    [0, 100],
    [3, 110],
    [6, 120],
  ] as const) {
    looks = looked(looks, look(at, waits));
    assert.equal(growthOf(looks, "a"), null, "the looks are too close together");
  }
  looks = looked(looks, look(10, 150));
  assert.equal(growthOf(looks, "a"), 5);
  assert.equal(growthOf(looks, "b"), null);
  looks = looked(looks, look(63, 20));
  assert.equal(looks.length, 4, "the first is older than a minute");
  assert.ok((growthOf(looks, "a") ?? 0) < 0);
});

function event(type: string, payload: Event["payload"]): Event {
  return { id: "01JY97R74N0000000000070000", type, map_id: "m", ts: "2026-01-31T12:00:00.000Z", payload };
}

test("operator events are sentences, with the page of the webhook that they are about", () => {
  const node = { id: 2, name: "node-2" };
  assert.deepEqual(toldOf(event("node.down", { node })), { tone: "bad", text: "node-2 is down", path: null });
  assert.equal(toldOf(event("node.up", { node: { id: 2, name: null } })).text, "node 2 is there again");
  assert.equal(
    toldOf(event("leader.changed", { from: node, to: { id: 3, name: "node-3" } })).text,
    "node-3 leads, after node-2",
  );
  const webhook = { id: "w", name: "billing", host: "example.com" };
  const told = toldOf(event("webhook.failing", { map: { id: "m", slug: "shop" }, webhook, percent: 50 }));
  assert.match(told.text, /^the webhook billing of shop has failed for 50 %/);
  assert.deepEqual(told.path, ["maps", "shop", "webhooks", "w"]);
  assert.deepEqual(toldOf(event("something.new", null)), { tone: "info", text: "something.new", path: null });
  assert.equal(toldOf(event("node.down", "no object")).text, "node – is down");
});

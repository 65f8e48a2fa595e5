import assert from "node:assert/strict";
import { test } from "node:test";
import {
  actionOf,
  askedOf,
  changesOf,
  faultsOf,
  parametersOf,
  pathOf,
  resultOf,
  subjectOf,
  thingsOf,
  type Line,
} from "../src/pages/audit/model";
import { csvOf, periodText, shareText, totalsOf, type Period } from "../src/pages/usage/model";

function line(method: string, route: string, more: Partial<Line> = {}): Line {
  return { time: "2026-11-30T17:00:00.000Z", node: { id: 3, name: "node-3" }, method, route, result: "done", ...more };
}

test("a line says in words what was asked for", () => {
  const all: [string, string, string][] = [
    ["POST", "/api/maps", "create map"],
    ["PATCH", "/api/maps/{map}", "change map"],
    ["POST", "/api/maps/{map}/tokens", "create token"],
    ["DELETE", "/api/maps/{map}/tokens/{token}", "revoke token"],
    ["DELETE", "/api/maps/{map}", "remove map"],
    ["PUT", "/api/maps/{map}/channel-rules", "replace channel rules"],
    ["POST", "/api/maps/{map}/webhooks/{webhook}/rotate-secret", "webhook: rotate secret"],
    ["POST", "/api/maps/{map}/webhooks/{webhook}/dead-letters/retry", "dead letters: retry"],
    ["POST", "/api/maps/{map}/webhooks/{webhook}/dead-letters/{event}/retry", "dead letter: retry"],
    ["DELETE", "/api/maps/{map}/subjects/{subject:.*}", "remove subject"],
    ["POST", "/api/maps/{map}/ingest", "create ingest source"],
    ["PUT", "/api/maps/{map}/ingest/{source}", "replace ingest source"],
    ["POST", "/api/maps/{map}/pusher", "create app"],
    ["PATCH", "/api/maps/{map}/pusher/{key}", "change app"],
    ["POST", "/api/maps/{map}/portal-links", "create portal link"],
    ["DELETE", "/api/maps/{map}/connections/{connection}", "close connection"],
    ["GET", "/api/maps/{map}/webhooks", "read webhooks"],
    ["POST", "/api/admin-tokens", "create admin token"],
  ];
  for (const [method, route, words] of all) assert.equal(actionOf(line(method, route)), words, route);
  assert.equal(actionOf(line("POST", "/api/cluster/{operation}", { path: "/api/cluster/drain" })), "cluster: drain");
  assert.equal(actionOf({ time: "", node: { id: 1, name: null }, lost: 3 }), "3 lines lost");
});

test("a line says how it ended, and what it is about", () => {
  assert.deepEqual(resultOf(line("POST", "/api/maps")), { tone: "ok", text: "done" });
  assert.deepEqual(resultOf(line("POST", "/api/maps", { result: "slug_taken" })), { tone: "bad", text: "slug taken" });
  assert.deepEqual(resultOf(line("POST", "/api/maps", { result: "unknown", status: null })), {
    tone: "warn",
    text: "not known",
  });
  assert.deepEqual(thingsOf(line("POST", "/api/maps", { made: "t1", of_node: 3 })), [
    ["made", "t1"],
    ["of_node", "3"],
  ]);
});

test("a line names what it is about", () => {
  const webhook = line("PATCH", "/api/maps/{map}/webhooks/{webhook}", {
    path: "/api/maps/demo/webhooks/7f%2Fa",
    map: "m1",
  });
  const subject = subjectOf(webhook);
  assert.deepEqual(subject, { kind: "webhook", id: "7f/a", name: null, page: "webhooks" });
  assert.equal(subjectOf({ ...webhook, name: "billing" })?.name, "billing");
  assert.deepEqual(subject === null ? null : pathOf(webhook, subject), ["maps", "m1", "webhooks", "7f/a"]);
  const made = line("POST", "/api/maps/{map}/tokens", { path: "/api/maps/demo/tokens", map: "m1", token_made: "t1" });
  const token = subjectOf(made);
  assert.deepEqual(token, { kind: "token made", id: "t1", name: null, page: "tokens" });
  const plain = line("POST", "/api/maps/{map}/tokens", { path: "/api/maps/demo/tokens", made: "t1", name: "reader" });
  assert.deepEqual(subjectOf(plain), { kind: "token", id: "t1", name: "reader", page: "tokens" });
  assert.deepEqual(token === null ? null : pathOf(made, token), ["maps", "m1", "tokens"]);
  assert.equal(subjectOf(line("PATCH", "/api/maps/{map}", { path: "/api/maps/demo" })), null);
  assert.equal(subjectOf(line("POST", "/api/cluster/{operation}", { path: "/api/cluster/drain" })), null);
  assert.equal(subjectOf({ time: "", node: { id: 1, name: null }, lost: 3 }), null);
});

test("a line says which settings were changed", () => {
  const changed = [
    { field: "limits.webhooks", from: 5, to: 77 },
    { field: "limits.subjects", from: null, to: 9 },
    { field: "slug", from: "old", to: null },
    { field: "chat-*", from: null, to: { durability: "ephemeral" } },
    { field: "retention", from: 1 },
    { field: "secret" },
    { field: "…" },
  ];
  assert.deepEqual(changesOf(line("PATCH", "/api/maps/{map}", { changed })), [
    "limits.webhooks: 5 → 77",
    "limits.subjects: set to 9",
    "slug: removed, was old",
    'chat-*: set to {"durability":"ephemeral"}',
    "retention: 1 → …",
    "secret",
    "…",
  ]);
  assert.deepEqual(changesOf(line("POST", "/api/maps")), []);
  assert.deepEqual(thingsOf(line("PATCH", "/api/maps/{map}", { changed, token_name: "first", map_name: "shop" })), []);
});

test("what is asked for of the audit log", () => {
  const now = Date.parse("2026-11-30T17:00:00Z");
  const asked = askedOf(new URLSearchParams("map=demo&since=1h&x=1"));
  assert.deepEqual(parametersOf(asked, now), {
    map: "demo",
    who: null,
    action: null,
    result: null,
    since: "2026-11-30T16:00:00.000Z",
    until: null,
  });
  assert.equal(parametersOf({ ...asked, result: "Not known" }, now).result, "unknown");
  assert.equal(parametersOf({ ...asked, result: "slug taken" }, now).result, "slug_taken");
  assert.deepEqual(faultsOf(asked, now), { since: null, until: null });
  assert.match(faultsOf({ ...asked, until: "later" }, now).until ?? "", /date/);
});

const PERIODS: Period[] = [1, 2].map((count) => ({
  from: `2026-11-30T1${count}:00:00.000Z`,
  events: count,
  event_bytes: 10 * count,
  deliveries: 100 * count,
  delivery_bytes: 1000 * count,
  attempts: 7 * count,
  failed_attempts: count,
}));

test("usage is added up", () => {
  assert.deepEqual(totalsOf(PERIODS), {
    events: 3,
    event_bytes: 30,
    deliveries: 300,
    delivery_bytes: 3000,
    attempts: 21,
    failed_attempts: 3,
  });
  assert.deepEqual(totalsOf([]), {
    events: 0,
    event_bytes: 0,
    deliveries: 0,
    delivery_bytes: 0,
    attempts: 0,
    failed_attempts: 0,
  });
  const [head, first] = csvOf(PERIODS).split("\n");
  assert.equal(head, "from,events,event_bytes,deliveries,delivery_bytes,attempts,failed_attempts");
  assert.equal(first, "2026-11-30T11:00:00.000Z,1,10,100,1000,7,1");
});

test("a share is never rounded to nothing or to everything", () => {
  const all: [number, number, string][] = [
    [0, 0, "–"],
    [0, 10, "0 %"],
    [1, 100_000, "less than 0.1 %"],
    [1, 40, "2.5 %"],
    [1, 3, "33 %"],
    [10, 10, "100 %"],
    [99_999, 100_000, "more than 99.9 %"],
  ];
  for (const [part, whole, text] of all) assert.equal(shareText(part, whole), text);
  assert.equal(periodText("2026-11-30T00:00:00.000Z", "day"), "2026-11-30");
});

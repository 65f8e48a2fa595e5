import assert from "node:assert/strict";
import { test } from "node:test";
import { bodyOf, faultsOf, fieldsOf, valuesOf, type Group } from "../src/lib/delivery/fields";
import { chosenQuery, CONSUMER, NEW_CONSUMER, NEW_WEBHOOK, WEBHOOK, WHOLE } from "../src/lib/delivery/settings";
import { isRefused, NEW_SOURCE, SOURCE, WAYS, wayOf } from "../src/lib/delivery/source-settings";

const shown = {
  name: "orders",
  url: "https://example.com/hook",
  profile: "standard",
  events: ["order_*", "paid"],
  filter: { expression: "payload.a > 1", subjects: ["a", "b-*"], channel_type: null, channel_prefix: null },
  ordering: "none",
  retry: { max_attempts: 16, delay_ms: 1000, ambiguous: true },
  headers: { "X-A": "***" },
  batch: null,
  method: "POST",
};

test("what is shown and not changed is not sent", () => {
  const before = valuesOf(WEBHOOK, shown);
  assert.equal(before["events"], "order_*, paid");
  assert.equal(before["headers"], "X-A: ***");
  assert.equal(before["retry.ambiguous"], "true");
  assert.deepEqual(bodyOf(WEBHOOK, before, before, WHOLE), { body: {}, faults: {} });
});

test("a changed member of an object that is replaced takes the others along", () => {
  const before = valuesOf(WEBHOOK, shown);
  const { body } = bodyOf(WEBHOOK, { ...before, "filter.expression": "payload.b" }, before, WHOLE);
  assert.deepEqual(body, { filter: { expression: "payload.b", subjects: ["a", "b-*"] } });
  const none = { ...before, "filter.expression": "", "filter.subjects": "" };
  assert.deepEqual(bodyOf(WEBHOOK, none, before, WHOLE).body, { filter: null });
});

test("a changed member of any other object goes alone", () => {
  const before = valuesOf(WEBHOOK, shown);
  const { body } = bodyOf(WEBHOOK, { ...before, "retry.max_attempts": "3", events: "", name: "" }, before, WHOLE);
  assert.deepEqual(body, { retry: { max_attempts: 3 }, events: "*", name: null });
});

test("something new has what was filled in", () => {
  const values = { ...NEW_WEBHOOK, url: "https://example.com/", "batch.max": "10", headers: "A: b: c\n\nD:e" };
  assert.deepEqual(bodyOf(WEBHOOK, values, null, WHOLE).body, {
    url: "https://example.com/",
    profile: "standard",
    ordering: "none",
    method: "POST",
    batch: { max: 10 },
    headers: { A: "b: c", D: "e" },
  });
  assert.deepEqual(bodyOf(CONSUMER, { ...NEW_CONSUMER, name: "jobs", start: "all" }, null, WHOLE).body, {
    name: "jobs",
    start: "all",
    ordering: "none",
  });
});

test("what means nothing is not sent", () => {
  const values = { ...NEW_WEBHOOK, url: "u", template: "{}", ordering_key: "payload.a", key: "k" };
  const { body } = bodyOf(WEBHOOK, values, null, WHOLE);
  assert.equal(body["template"], undefined);
  assert.equal(body["ordering_key"], undefined);
  assert.equal(body["key"], undefined);
  const templated = bodyOf(WEBHOOK, { ...values, profile: "template", ordering: "key" }, null, WHOLE).body;
  assert.equal(templated["template"], "{}");
  assert.equal(templated["ordering_key"], "payload.a");
});

test("what cannot be written as JSON is a fault of its field", () => {
  const values = { ...NEW_WEBHOOK, timeout_ms: "soon", headers: "no colon" };
  const { faults, body } = bodyOf(WEBHOOK, values, null, WHOLE);
  assert.deepEqual(Object.keys(faults).sort(), ["headers", "timeout_ms"]);
  assert.equal(body["timeout_ms"], undefined);
  assert.match(bodyOf(SOURCE, { ...NEW_SOURCE, mapping: "{" }, null).faults["mapping"] ?? "", /is not JSON/);
});

test("a secret is never filled in", () => {
  assert.equal(valuesOf(WEBHOOK, { ...shown, secret: "whsec_x" })["secret"], "");
});

test("names from outside are no members of objects", () => {
  const group: Group = { title: "", fields: [{ path: "a.b", label: "", kind: "text" }] };
  assert.deepEqual(valuesOf([group], JSON.parse('{"__proto__": {"a": {"b": "x"}}}') as Record<string, unknown>), {
    "a.b": "",
  });
  const headers = bodyOf(WEBHOOK, { headers: "__proto__: x" }, null, WHOLE).body["headers"] as object;
  assert.deepEqual(Object.entries(headers), [["__proto__", "x"]]);
});

test("faults of an answer are sorted by field", () => {
  const { of, rest } = faultsOf(WEBHOOK, [
    { field: "filter.expression", message: "at 3: no" },
    { field: "events.0", message: "one" },
    { field: "events.1", message: "two" },
    { field: "batch", message: "whole" },
    { field: "unheard", message: "of" },
    { field: "", message: "body" },
  ]);
  assert.deepEqual(of, { "filter.expression": "at 3: no", events: "one; two", "batch.max": "whole" });
  assert.deepEqual(rest, ["unheard: of", "body"]);
});

test("each field stands in a form once", () => {
  for (const groups of [WEBHOOK, CONSUMER, SOURCE]) {
    const paths = fieldsOf(groups).map((field) => field.path);
    assert.equal(new Set(paths).size, paths.length);
    assert.equal(groups[0]?.open, true);
  }
  assert.equal(WEBHOOK[0]?.fields.length, 5);
});

test("the node is asked for the events that a form chooses", () => {
  assert.deepEqual(chosenQuery({}), { subjects: null, events: null, filter: null });
  assert.deepEqual(chosenQuery({ events: "a_*,\n b ", "filter.subjects": "x", "filter.expression": " payload.a " }), {
    subjects: "x",
    events: "a_*,b",
    filter: "payload.a",
  });
  assert.deepEqual(
    chosenQuery({
      "filter.channel_type": "private",
      "filter.channel_prefix": 'private-"',
      "filter.expression": "a || b",
    }),
    {
      subjects: "*",
      events: null,
      filter: `(a || b) && (subject.startsWith('private-')) && (subject.startsWith("private-\\""))`,
    },
  );
  assert.equal(chosenQuery({ "filter.channel_type": "map" }).subjects, null);
});

test("ingest: only what the way of proving needs is shown", () => {
  const fields = (values: Record<string, string>) =>
    fieldsOf(SOURCE)
      .filter((field) => field.shown?.(values) !== false)
      .map((field) => field.path);
  assert.ok(fields({ authentication: "hmac" }).includes("secretKey"));
  assert.ok(!fields({ authentication: "none" }).includes("secretKey"));
  assert.ok(fields({ authentication: "jwt", "jwt.algorithm": "HS256" }).includes("secretKey"));
  const keyed = fields({ authentication: "jwt", "jwt.algorithm": "RS256" });
  assert.ok(keyed.includes("publicKey") && !keyed.includes("secretKey"));
  assert.equal(WAYS.length, 12);
  assert.equal(wayOf("nothing known").value, "hmac");
  assert.deepEqual(["accepted", "repeated", "bad_signature", undefined].map(isRefused), [false, false, true, false]);
});

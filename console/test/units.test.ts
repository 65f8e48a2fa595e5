import assert from "node:assert/strict";
import { test } from "node:test";
import { read, written } from "../src/lib/units";
import { changes, createLine, forNew, sentAs, texts } from "../src/pages/settings/fields";

test("durations and sizes are read as people write them", () => {
  for (const [text, expected] of [
    ["604800", 604_800],
    ["7d", 604_800],
    ["7 days", 604_800],
    ["1 w", 604_800],
    ["1 d 12 h", 129_600],
    ["1h30min", 5400],
    ["1.5 h", 5400],
    ["90 min", 5400],
    ["0", 0],
    ["7", 7],
    ["7 x", null],
    ["d", null],
    ["-1 d", null],
    ["1.5 s", null],
    ["1 d and 2 h", null],
  ] as const) {
    assert.equal(read(text, "seconds"), expected, text);
  }
  for (const [text, expected] of [
    ["268435456", 268_435_456],
    ["256 MiB", 268_435_456],
    ["256M", 268_435_456],
    ["1.5 GiB", 1_610_612_736],
    ["1 MB", 1_000_000],
    ["16 kib", 16_384],
    ["5 bytes", 5],
    ["5 B", 5],
    ["1.5", null],
    ["5 QiB", null],
    ["MiB", null],
  ] as const) {
    assert.equal(read(text, "bytes"), expected, text);
  }
  assert.equal(read("1,000,000", ""), 1_000_000);
  assert.equal(read("1,5", ""), null);
  assert.equal(read("7 d", ""), null);
});

test("what is written is read as the same number", () => {
  for (const seconds of [0, 1, 59, 60, 3600, 86_400, 604_800, 90_061, 604_801]) {
    assert.equal(read(written(seconds, "seconds"), "seconds"), seconds, written(seconds, "seconds"));
  }
  for (const bytes of [0, 1, 1023, 1024, 1500, 2 ** 20, 3 * 2 ** 28, 2 ** 30, 2 ** 30 + 1, 5 * 2 ** 38]) {
    assert.equal(read(written(bytes, "bytes"), "bytes"), bytes, written(bytes, "bytes"));
  }
  assert.deepEqual([written(604_800, "seconds"), written(90_061, "seconds")], ["7 d", "1 d 1 h 1 min 1 s"]);
  assert.deepEqual([written(2 ** 28, "bytes"), written(1500, "bytes")], ["256 MiB", "1500"]);
});

const MAP = {
  id: "m",
  slug: "orders",
  name: "",
  limits: { connections: 100 },
  retention: { events: 1000, age_seconds: 604_800, bytes: 2 ** 28, webhook_backlog: { bytes: 0, age_seconds: null } },
  inserted_at: "2026-11-30T17:00:00.000Z",
  updated_at: "2026-11-30T17:00:00.000Z",
};

test("the settings of a map stand in units, and another way to write one is no change", () => {
  const now = texts(MAP);
  assert.deepEqual([now["retention.age_seconds"], now["retention.bytes"]], ["7 d", "256 MiB"]);
  assert.deepEqual(changes(MAP, { ...now, "retention.age_seconds": "1 week" }), { body: {}, faults: {} });
  const { body, faults } = changes(MAP, { ...now, "retention.age_seconds": "12 h", "retention.bytes": "a lot" });
  assert.deepEqual(body, { retention: { age_seconds: 43_200 } });
  assert.match(faults["retention.bytes"] ?? "", /256 MiB/);
  assert.equal(sentAs("retention.age_seconds", "12 h"), "43,200 s");
  assert.equal(sentAs("limits.connections", "12"), null);
});

test("a new map gets what was typed, and the rest as usual", () => {
  const { body, faults } = forNew({ slug: "orders", "limits.connections": "none", "retention.age_seconds": "3 d" });
  assert.deepEqual(faults, {});
  assert.deepEqual(body, {
    slug: "orders",
    name: null,
    limits: { connections: null },
    retention: { age_seconds: 259_200 },
  });
  assert.equal(createLine(body), "waypost map create --slug orders --connections none --retain-seconds 259200");
  assert.deepEqual(forNew({}), { body: { slug: null, name: null }, faults: {} });
  assert.equal(createLine(forNew({}).body), "waypost map create");
  const without = forNew({ "retention.bytes": "none" }).body;
  assert.match(createLine(without), /^curl -sS -X POST .*'\{"retention":\{"bytes":null\}\}'$/s);
  assert.deepEqual(Object.keys(forNew({ slug: "No", "limits.subjects": "x" }).faults).sort(), [
    "limits.subjects",
    "slug",
  ]);
});

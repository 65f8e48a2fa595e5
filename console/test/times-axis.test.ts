import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { tickTexts, WHOLE } from "../src/lib/axis";
import { eachSecond, relativeText } from "../src/lib/relative";

test("a time counts by seconds up to a minute, and no unit is rounded up", () => {
  const now = 1_700_000_000_000;
  const cases: [number, string][] = [
    [0, "just now"],
    [-999, "now"],
    [1_600, "1 s ago"],
    [59_999, "59 s ago"],
    [119_999, "1 min ago"],
    [3_599_999, "59 min ago"],
    [172_799_999, "47 h ago"],
    [200_000_000, "2 d ago"],
    [-24_000, "in 24 s"],
    [-90_000, "in 1 min"],
  ];
  for (const [ago, text] of cases) assert.equal(relativeText(now - ago, now), text);
});

test("one timer serves all who look each second, and it ends with the last of them", () => {
  mock.timers.enable({ apis: ["setInterval"] });
  try {
    const looks = [0, 0];
    const ends = looks.map((_, i) => eachSecond(() => (looks[i] = (looks[i] ?? 0) + 1)));
    mock.timers.tick(2000);
    assert.deepEqual(looks, [2, 2]);
    ends[0]?.();
    mock.timers.tick(1000);
    assert.deepEqual(looks, [2, 3]);
    ends[1]?.();
    mock.timers.tick(5000);
    assert.deepEqual(looks, [2, 3]);
    eachSecond(() => (looks[0] = 9))();
  } finally {
    mock.timers.reset();
  }
});

test("the ticks of an axis have one unit and the same decimals", () => {
  assert.deepEqual(tickTexts([0, 5, 10, 15], "count"), ["0", "5", "10", "15"]);
  assert.deepEqual(tickTexts([0, 0.5, 1], "count"), ["0", "0.5", "1.0"]);
  assert.deepEqual(tickTexts([0, 0.25, 0.5], "count"), ["0", "0.25", "0.50"]);
  assert.deepEqual(tickTexts([0, 2500, 5000], "count"), ["0", "2,500", "5,000"]);
  assert.deepEqual(tickTexts([0, 5000, 10_000], "count"), ["0", "5K", "10K"]);
  assert.deepEqual(tickTexts([0, 524_288, 1_048_576], "bytes"), ["0", "0.5 MiB", "1.0 MiB"]);
  assert.deepEqual(tickTexts([0, 512], "bytes"), ["0", "512 B"]);
  assert.deepEqual(tickTexts([0], "bytes"), ["0"]);
  assert.deepEqual(tickTexts([], "count"), []);
});

test("what comes in whole numbers has whole steps", () => {
  assert.deepEqual(WHOLE.slice(0, 7), [1, 2, 5, 10, 20, 50, 100]);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { eventOf, factsOf, normalId, type Event } from "../src/lib/history/event";
import { earlierThan, nextStep } from "../src/lib/history/earlier";
import { Search, WANTED, type Page } from "../src/lib/history/search";
import { Rate, TailList, windowOf } from "../src/lib/history/tail";
import { durationText, microsOf, timeOf } from "../src/lib/history/time";
import { addressOf, also, EVERYTHING, parametersOf, subjectItem, wantedOf } from "../src/lib/history/wanted";

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** The id of the event in a slot of a log entry. */
function idOf(ms: number, index = 7, slot = 0): string {
  let value = (BigInt(ms) << 80n) | (BigInt(index) << 20n) | BigInt(slot);
  let text = "";
  for (let at = 0; at < 26; at += 1, value >>= 5n) text = ALPHABET[Number(value & 31n)] + text;
  return text;
}

function event(number: number, ms = 1_750_509_296_789 + number): Event {
  return { id: idOf(ms, number), seq: number, type: "a", map_id: "m", ts: new Date(ms).toISOString(), payload: number };
}

test("an id tells its time and its place in the log", () => {
  // The ids of the golden tests of the server.
  assert.deepEqual(factsOf("01JY97R74N0000000000070003"), {
    ms: 1_750_509_296_789,
    ephemeral: false,
    group: 0,
    index: 7,
    slot: 3,
  });
  assert.equal(factsOf("01JY97R74NZZR00000E0000003")?.ephemeral, true);
  assert.equal(idOf(1_750_509_296_789, 7, 3), "01JY97R74N0000000000070003");
  assert.equal(normalId(" 01jy97r74n0000000000070003 "), "01JY97R74N0000000000070003");
  for (const bad of ["", "01JY97R74N000000000007000", "81JY97R74N0000000000070003", "01JY97R74N000000000007000I"]) {
    assert.equal(factsOf(bad), null, bad);
  }
});

test("frames about the stream are no events", () => {
  assert.equal(eventOf(`{"map_id":"m","server_time":"x","last_event_id":"0"}`), null);
  assert.equal(eventOf(`{"id":"a","seq":1,"map_id":"m","timestamp":"x","payload":null}`), null);
  assert.equal(eventOf("no JSON"), null);
  assert.equal(eventOf("7"), null);
  const data = `{"id":"a","seq":1,"type":"t","map_id":"m","ts":"x","timestamp":"x","payload":{"timestamp":1}}`;
  assert.deepEqual(eventOf(data), { id: "a", seq: 1, type: "t", map_id: "m", ts: "x", payload: { timestamp: 1 } });
});

test("what is wanted goes into the address and back", () => {
  const all = [
    EVERYTHING,
    { subjects: "", events: "a,b", filter: "x == 1" },
    { subjects: "a\\,b,c*", events: "", filter: "" },
  ];
  for (const wanted of all) {
    const given = Object.entries(addressOf(wanted)).filter((entry): entry is [string, string] => entry[1] !== null);
    assert.deepEqual(wantedOf(new URLSearchParams(given)), wanted);
  }
  assert.deepEqual(parametersOf({ subjects: " ", events: " a, ,b,", filter: "  " }), { events: "a,b" });
  assert.deepEqual(parametersOf(EVERYTHING), { subjects: "*" });
  assert.equal(subjectItem("a,b"), "a\\,b");
});

test("subjects may have spaces around them, as people write a list", () => {
  const spaced = { ...EVERYTHING, subjects: " *, $* ,a\\, b" };
  assert.deepEqual(parametersOf(spaced), { subjects: "*,$*,a\\, b" });
  assert.equal(addressOf(spaced).subjects, "*,$*,a\\, b");
  assert.equal(wantedOf(new URLSearchParams({ subjects: "*, $*" })).subjects, "*,$*");
});

test("what came before is looked for further and further back", () => {
  const before = Date.parse("2026-01-31T12:00:00Z");
  const until = new Date(before).toISOString();
  let step = earlierThan(before, 0);
  assert.deepEqual(step, { from: "2026-01-31T11:50:00.000Z", until, earlier: "0" });
  const spans: number[] = [];
  while (step !== null) {
    assert.equal(step.until, until);
    spans.push(before - Date.parse(step.from));
    step = nextStep(step.earlier, step.until);
  }
  assert.deepEqual(
    spans,
    [...spans].sort((a, b) => a - b),
  );
  assert.ok(spans.length < 10 && (spans.at(-1) ?? 0) > 365 * 86_400_000, String(spans));
  assert.equal(nextStep(null, until), null, "a search that somebody made by hand stays as it is");
  assert.equal(nextStep("1", "soon"), null);
});

test("a condition is added to a filter without changing it", () => {
  assert.equal(also(" ", "a == 1"), "a == 1");
  assert.equal(also("b == 2", "a == 1"), "b == 2 && a == 1");
  assert.equal(also("b || c", "a == 1"), "(b || c) && a == 1");
  assert.equal(also("b ? c : d", "a == 1"), "(b ? c : d) && a == 1");
});

const BOUNDS = { events: 5, bytes: 1000, waiting: 3, waitingBytes: 1000 };

test("a tail keeps the newest events, by count and by bytes", () => {
  const tail = new TailList(BOUNDS);
  for (let number = 1; number <= 8; number += 1) tail.add(event(number), 10, event(number).id);
  assert.deepEqual(
    tail.shown.map((kept) => kept.number),
    [4, 5, 6, 7, 8],
  );
  assert.deepEqual([tail.came, tail.forgotten, tail.position], [8, 3, event(8).id]);
  tail.add(event(9), 990, event(9).id);
  assert.deepEqual(
    tail.shown.map((kept) => kept.number),
    [8, 9],
  );
  tail.add(event(10), 5000, event(10).id);
  assert.deepEqual(
    tail.shown.map((kept) => kept.number),
    [10],
  );
});

test("nothing is lost while a tail is paused", () => {
  const tail = new TailList(BOUNDS);
  tail.at(event(0).id);
  tail.add(event(1), 10, event(1).id);
  tail.pause();
  assert.equal(tail.add(event(2), 10, event(2).id), true);
  assert.equal(tail.add(event(3), 10, event(3).id), true);
  assert.equal(tail.add(event(4), 10, event(4).id), false);
  assert.deepEqual([tail.shown.length, tail.waiting, tail.full], [1, 3, true]);
  // The stream is closed now, and goes on after the last event that waits.
  assert.equal(tail.position, event(4).id);
  tail.resume();
  assert.deepEqual(
    tail.shown.map((kept) => kept.event.seq),
    [1, 2, 3, 4],
  );
  tail.add(event(5), 10, event(5).id);
  assert.deepEqual(
    tail.shown.map((kept) => kept.number),
    [1, 2, 3, 4, 5],
  );
});

test("an ephemeral event does not move the position", () => {
  const tail = new TailList(BOUNDS);
  tail.add(event(1), 10, event(1).id);
  tail.add({ ...event(2), seq: undefined }, 10, event(1).id);
  assert.equal(tail.position, event(1).id);
  tail.clear();
  assert.deepEqual([tail.shown.length, tail.came, tail.position], [0, 2, event(1).id]);
});

test("a rate is over whole seconds", () => {
  const rate = new Rate();
  for (let at = 0; at < 5000; at += 100) rate.count(100_000 + at, 7);
  assert.deepEqual(rate.perSecond(105_000, 100_000), { events: 10, bytes: 70 });
  assert.deepEqual(rate.perSecond(110_000, 100_000), { events: 5, bytes: 35 });
  assert.deepEqual(rate.perSecond(120_000, 100_000), { events: 0, bytes: 0 });
  assert.deepEqual(new Rate().perSecond(5, 0), { events: 0, bytes: 0 });
});

test("only what is seen is drawn", () => {
  assert.deepEqual(windowOf(0, 320, 32, 1000), { from: 0, to: 18 });
  assert.deepEqual(windowOf(3200, 320, 32, 1000), { from: 92, to: 118 });
  assert.deepEqual(windowOf(99_999, 320, 32, 10), { from: 10, to: 10 });
  assert.deepEqual(windowOf(0, 320, 32, 0), { from: 0, to: 0 });
});

/** History of some events, in pages of four, of which every third event matches. */
function history(count: number) {
  const asked: { after: string | null; since: string | null }[] = [];
  const read = async (from: { after: string | null; since: string | null; limit: number }): Promise<Page> => {
    asked.push({ after: from.after, since: from.since });
    const first = from.after === null ? 1 : (factsOf(from.after)?.index ?? 0) + 1;
    const all = Array.from({ length: Math.max(0, Math.min(4, count - first + 1)) }, (_, index) =>
      event(first + index, 1000 * (first + index)),
    );
    const last = all.at(-1);
    return {
      data: all.filter((one) => (one.seq ?? 0) % 3 === 0).slice(0, from.limit),
      cursor: last?.id ?? from.after,
      has_more: first + 3 < count,
      ...(from.after === null && { gap: true, oldest_id: event(1).id }),
    };
  };
  return { asked, read };
}

test("a search reads pages until it has enough or there are no more", async () => {
  const { asked, read } = history(30);
  const search = new Search({ after: null, since: "2026-01-01T00:00:00.000Z", until: null }, read);
  const found = await search.next(() => true);
  assert.deepEqual(
    found.events.map((one) => one.seq),
    [3, 6, 9, 12, 15, 18, 21, 24, 27, 30],
  );
  assert.deepEqual([found.more, found.gap?.oldest], [false, event(1).id]);
  assert.equal(asked[0]?.since, "2026-01-01T00:00:00.000Z");
  assert.ok(asked.slice(1).every((one) => one.since === null && one.after !== null));
});

test("a search goes on where it was", async () => {
  const { read } = history(1000);
  const search = new Search({ after: null, since: null, until: null }, read);
  const first = await search.next(() => true);
  assert.ok(first.more && first.events.length > 0 && first.events.length <= WANTED);
  const second = await search.next(() => true);
  const seqs = second.events.map((one) => one.seq ?? 0);
  assert.deepEqual(
    seqs,
    seqs.map((_, index) => 3 * (index + 1)),
  );
  assert.ok(seqs.length > first.events.length);
});

test("a search stops when it is told to, and at its end", async () => {
  const { asked, read } = history(1000);
  const search = new Search({ after: null, since: null, until: null }, read);
  const found = await search.next(() => false);
  assert.deepEqual([asked.length, found.more], [1, true]);
  const bounded = new Search({ after: null, since: null, until: 10_000 }, history(100_000).read);
  const all = await bounded.next(() => true);
  assert.deepEqual([all.events.map((one) => one.seq), all.more], [[3, 6, 9], false]);
});

test("times as people write them", () => {
  const now = Date.parse("2026-01-31T12:00:00Z");
  assert.equal(timeOf("15m", now), now - 900_000);
  assert.equal(timeOf(" 2 d ", now), now - 172_800_000);
  const same: [string, number][] = [
    ["1d ago", 86_400_000],
    ["1H AGO", 3_600_000],
    ["2 days", 172_800_000],
    ["30 seconds ago", 30_000],
    ["5 mins", 300_000],
    ["1 minute", 60_000],
    ["1 hour ago", 3_600_000],
    ["2w", 1_209_600_000],
    ["now", 0],
  ];
  for (const [text, before] of same) assert.equal(timeOf(text, now), now - before, text);
  assert.equal(timeOf("2026-01-31T12:00:00Z", 0), now);
  assert.equal(timeOf("2026-01-31 13:00:00.5+01:00", 0), now + 500);
  assert.equal(timeOf("2026-01-31 12:00", 0), new Date(2026, 0, 31, 12).getTime());
  assert.equal(timeOf("2026-01-31", 0), new Date(2026, 0, 31).getTime());
  for (const bad of [
    "",
    "1",
    "h",
    "yesterday",
    "2026",
    "2026-13-01",
    "2026-01-31T25:00",
    "-1h",
    "5ms",
    "ago",
    "1 month",
  ])
    assert.equal(timeOf(bad, 0), null, bad);
});

test("times of the API have microseconds", () => {
  assert.equal(microsOf("2025-06-21T12:34:56.789123Z"), 1_750_509_296_789_123);
  assert.equal(microsOf("2025-06-21T12:34:56Z"), 1_750_509_296_000_000);
  assert.equal(microsOf("2025-06-21T12:34:56.7891239Z"), 1_750_509_296_789_123);
  assert.equal(microsOf("soon"), null);
});

test("durations in words", () => {
  const all: [number, string][] = [
    [0, "0 µs"],
    [840, "840 µs"],
    [1240, "1.24 ms"],
    [12_300, "12.3 ms"],
    [999_400, "999 ms"],
    [2_500_000, "2.5 s"],
    [-3000, "−3 ms"],
    [10_000, "10 ms"],
    [100_000, "100 ms"],
    [184_000_000, "3 min 4 s"],
    [7_200_000_000, "2 h"],
    [90_000_000_000, "1 d 1 h"],
    [59_990_000, "1 min"],
  ];
  for (const [micros, text] of all) assert.equal(durationText(micros), text);
});

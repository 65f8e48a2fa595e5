import assert from "node:assert/strict";
import { test } from "node:test";
import { commandLine, curl, withSettings } from "../src/lib/delivery/commands";
import { classesOf, isEmpty, matching } from "../src/lib/delivery/dead-letters";
import { previewOf, requestOf } from "../src/lib/delivery/preview";
import { rateText, ratesOf, shareText } from "../src/lib/delivery/rates";
import {
  isoOf,
  localOf,
  planQuery,
  planText,
  quickTimes,
  replayBody,
  replayCommand,
  whatText,
  type ReplayForm,
} from "../src/lib/delivery/replay";
import {
  consumerState,
  disabledIn,
  durationIn,
  percent,
  replayLine,
  replayWaits,
  sentence,
  span,
  webhookState,
} from "../src/lib/delivery/state";
import { rememberTested, testedRequest } from "../src/lib/delivery/tested";

const NOW = Date.UTC(2026, 0, 31, 12);
const before = (ms: number) => new Date(NOW - ms).toISOString();
const webhook = {
  state: "healthy",
  consecutive_failures: 0,
  last_error: null,
  last_delivery_at: before(1000),
  queue_depth: 0,
};

test("a webhook's state says why", () => {
  assert.deepEqual(webhookState(webhook, NOW), { word: "healthy", tone: "ok", why: null });
  const failing = {
    ...webhook,
    state: "failing",
    consecutive_failures: 12,
    last_error: "the answer was 500",
    failing_since: before(90 * 60_000),
    auto_disable_seconds: 7200,
  };
  assert.deepEqual(webhookState(failing, NOW), {
    word: "failing",
    tone: "bad",
    why: "Every attempt has failed for 1 h 30 min now: the answer was 500. It is disabled in 30 min if this goes on.",
  });
  assert.equal(
    webhookState({ ...failing, failing_since: null }, NOW).why,
    "The last attempts failed: the answer was 500.",
  );
  assert.equal(
    webhookState({ ...webhook, state: "disabled", disabled_reason: "the receiver answered 410" }, NOW).why,
    "The receiver answered 410.",
  );
  assert.equal(webhookState({ ...webhook, state: "losing", missed: 7 }, NOW).tone, "bad");
  assert.equal(webhookState({ ...webhook, state: "paused" }, NOW).tone, "off");
  assert.equal(webhookState({ ...webhook, state: "something new" }, NOW).word, "something new");
  const next = new Date(NOW + 30_000).toISOString();
  assert.match(webhookState({ ...webhook, state: "throttled", next_attempt_at: next }, NOW).why ?? "", /in 30 s/);
});

test("how near a failing webhook is to being disabled", () => {
  const end = (ms: number, seconds: number | null) =>
    disabledIn({ failing_since: before(ms), auto_disable_seconds: seconds }, NOW);
  assert.deepEqual(end(1000, 2), { text: "in 1 s", share: 0.5 });
  assert.equal(end(3_600_000, 432_000)?.text, "in 4 d 23 h");
  assert.equal(end(5000, 2)?.text, "at its next failure");
  assert.equal(end(1000, null), null);
  assert.equal(disabledIn({ failing_since: null, auto_disable_seconds: 2 }, NOW), null);
});

test("a webhook that is behind says how far, whether it catches up, and what makes it slow", () => {
  const behind = { ...webhook, state: "behind", queue_depth: 7200, oldest_at: before(1_500_000) };
  const why = (more: object, growth: number | null = null) => {
    const said = webhookState({ ...behind, ...more }, NOW, growth);
    assert.deepEqual([said.word, said.tone], ["behind", "warn"]);
    return said.why;
  };
  assert.equal(why({}), "The oldest event waits for 25 min.");
  assert.equal(
    why({ ordering: "strict", request_ms: 4000 }, 4.76),
    "The oldest event waits for 25 min. It falls further behind: 4.8 events more wait each second. " +
      "Each event waits for the one before it (strict order), and a request takes 4 s: at most 0.25 a second.",
  );
  assert.match(why({}, -12) ?? "", /It catches up, in about 10 min\.$/);
  assert.match(
    why({ ordering: "strict", request_ms: 400, batch: { max: 50 } }) ?? "",
    /at most 2.5 a second, with up to/,
  );
  assert.match(why({ ordering: "key", request_ms: 50 }) ?? "", /50 ms: at most 20 a second for each key\.$/);
  assert.match(why({ ordering: "key" }) ?? "", /events? of the same key wait for each other\.$/i);
  assert.match(
    why({ ordering: "none", rate_limit: { requests: 1, period_ms: 1000 } }) ?? "",
    /It may make 1 request in any 1 s\.$/,
  );
});

test("a consumer's state says whether it is read", () => {
  assert.equal(consumerState({ lag: 0 }, NOW).word, "up to date");
  assert.equal(consumerState({ lag: 5, oldest_at: before(1000) }, NOW).word, "reading");
  assert.equal(consumerState({ lag: 5, oldest_at: before(600_000), last_ack_at: before(1000) }, NOW).word, "behind");
  const stuck = consumerState({ lag: 5, oldest_at: before(600_000), last_ack_at: null }, NOW);
  assert.deepEqual([stuck.word, stuck.tone], ["not read", "bad"]);
  assert.match(stuck.why ?? "", /10 min/);
  assert.equal(consumerState({ lag: 5, losing_since: before(1) }, NOW).word, "losing events");
});

test("spans, shares and sentences", () => {
  assert.deepEqual(
    [durationIn("s", "432000"), durationIn("seconds", "3600"), durationIn("ms", "1500"), durationIn("ms", "30000")],
    ["5 d", "1 h", "1.5 s", "30 s"],
  );
  assert.deepEqual(
    [durationIn("s", "5"), durationIn("ms", "5"), durationIn(undefined, "9"), durationIn("s", "x")],
    [null, null, null, null],
  );
  assert.deepEqual([0, 999, 61_000, 3_600_000, 90_061_000].map(span), ["0 s", "0 s", "1 min 1 s", "1 h", "1 d 1 h"]);
  assert.deepEqual([0, 0.999, 1, 2, -1].map(percent), ["0 %", "99 %", "100 %", "100 %", "0 %"]);
  assert.equal(sentence("it broke"), "It broke.");
  assert.equal(sentence("why?"), "Why?");
});

test("a replay says what is finished and what waits", () => {
  const replay = { state: "running", progress: 0.5, from_seq: 1, until_seq: 9, delivered: 3, failed: 1, missed: 0 };
  assert.equal(replayLine(replay), "running, 50 % of 8 events: 3 delivered, 1 failed, 4 still wait");
  assert.equal(
    replayLine({ ...replay, progress: 0, delivered: 0, failed: 0, retrying: 7 }),
    "running, 0 % of 8 events: 0 delivered, 0 failed, 8 still wait, 7 of them for another attempt",
  );
  assert.equal(
    replayLine({ ...replay, progress: 0.875, retrying: 1, missed: 3 }),
    "running, 87 % of 8 events: 3 delivered, 1 failed, 3 were gone, 1 still waits for another attempt",
  );
  assert.equal(replayLine({ ...replay, state: "waiting", until_seq: null }), "waiting: 3 delivered, 1 failed");
  const dead = { ...replay, progress: 0, until_seq: 5641, delivered: 0, failed: 0, failed_only: true };
  assert.equal(
    replayLine({ ...dead, total: 3, left: 3, retrying: 1 }),
    "running, 0 % of 3 dead letters: 0 delivered, 0 failed, 3 still wait, 1 of them for another attempt",
  );
  assert.equal(
    replayLine({ ...dead, state: "done", progress: 1, total: 3, left: 0, delivered: 3 }),
    "done, 100 % of 3 dead letters: 3 delivered, 0 failed",
  );
  assert.equal(replayLine({ ...dead, state: "waiting", total: null, left: null }), "waiting: 0 delivered, 0 failed");
  assert.equal(replayWaits(webhook, NOW), null);
  const failing = {
    ...webhook,
    state: "failing",
    last_error: "status 301",
    next_attempt_at: new Date(NOW + 31_000).toISOString(),
  };
  assert.equal(replayWaits(failing, NOW), "The webhook is failing; the next attempt comes in 31 s.");
});

test("what a replay would have is told before, and what it has afterwards", () => {
  const since = "2026-01-31T12:00:00.000Z";
  assert.deepEqual(planQuery({ since, failed_only: true }), { since, failed_only: "true" });
  assert.equal(planQuery({ event_ids: ["a"] }), null);
  const plan = { from_seq: 1, until_seq: 5641, failed_only: true, events: 3 };
  assert.equal(planText(plan), "3 dead letters would be delivered again, as far as the filter chooses them.");
  assert.match(planText({ ...plan, failed_only: false, events: 5640 }), /^It would look at 5,640 events, /);
  for (const failed_only of [true, false]) assert.match(planText({ ...plan, failed_only, events: 0 }), /nothing would/);
  assert.deepEqual(whatText({ failed_only: true, from_seq: 5000, until_seq: 5641, from_at: since }), {
    what: "dead letters",
    since,
    seqs: "seq 5,000 to 5,640",
  });
  assert.deepEqual(whatText({ failed_only: false, from_seq: 1, until_seq: null, from_at: null }), {
    what: "events",
    since: null,
    seqs: "seq 1 to the end",
  });
});

test("the request of a test is remembered, and that of an old one is not", () => {
  const request = { method: "POST", url: "", headers: {}, body: "{}" };
  for (let n = 0; n < 30; n++) rememberTested(`m${n}`, { ...request, body: String(n) });
  assert.equal(testedRequest("m29")?.body, "29");
  assert.equal(testedRequest("m10")?.body, "10");
  assert.equal(testedRequest("m9"), null);
  assert.deepEqual(requestOf({ method: "PUT", url: null, headers: { a: "b" }, body: "x", body_cut: false }), {
    method: "PUT",
    url: "",
    headers: { a: "b" },
    body: "x",
  });
  assert.equal(requestOf(null), null);
});

test("rates are told from two looks", () => {
  const look = (at: number, count: number) => ({ at, counts: new Map([["a", count]]) });
  assert.deepEqual([...ratesOf(look(0, 10), look(2000, 30))], [["a", 10]]);
  assert.deepEqual([...ratesOf(look(0, 10), look(2000, 3))], []);
  assert.deepEqual([...ratesOf(null, look(0, 1))], []);
  assert.deepEqual([undefined, 0, 0.25, 1.25, 12.4].map(rateText), ["–", "0", "0.3/s", "1.3/s", "12/s"]);
  assert.deepEqual([null, 1, 0.9999, 0.995, 0.5].map(shareText), ["–", "100 %", "> 99.9 %", "99.5 %", "50 %"]);
});

test("command lines keep what they are given as one word", () => {
  assert.equal(commandLine(["webhook", "delete"], ["demo", "7f"]), "waypost webhook delete demo 7f");
  assert.equal(
    commandLine(["consumer", "delete"], ["demo", "-rf"], { yes: true }),
    "waypost consumer delete --yes -- demo '-rf'",
  );
  assert.equal(
    commandLine(["webhook", "fire"], ["demo", "a b", `{"a":"'$(x)"}`]),
    `waypost webhook fire demo 'a b' '{"a":"'\\''$(x)"}'`,
  );
  assert.equal(commandLine(["x"], [], { payload: "-5" }), "waypost x --payload='-5'");
  assert.equal(commandLine(["x"], [], { a: null, b: false, c: "", d: 0 }), "waypost x --d 0");
  assert.equal(
    withSettings(["webhook", "update"], ["m", "w"], { name: "n" }),
    `echo '{"name":"n"}' | waypost webhook update --settings - m w`,
  );
  assert.match(
    curl("DELETE", "/api/maps/demo/x"),
    /^curl -sS -X DELETE "\$WAYPOST_URL"\/api\/maps\/demo\/x -H "Authorization: Bearer \$WAYPOST_TOKEN"$/,
  );
});

const form: ReplayForm = {
  from: "since",
  since: "2026-01-31T12:00",
  after: "",
  events: "",
  until: "",
  failedOnly: false,
};

test("a replay of what failed since noon", () => {
  const since = isoOf("2026-01-31T12:00");
  const made = replayBody({ ...form, failedOnly: true });
  assert.deepEqual(made, { body: { since, failed_only: true } });
  assert.equal(
    replayCommand("webhook", "demo", "kills", { since: since ?? "", failed_only: true }),
    `waypost webhook replay --since ${since} --failed demo kills`,
  );
});

test("a replay says what is missing", () => {
  for (const part of [
    { since: "" },
    { from: "after" },
    { from: "events" },
    { from: "all" },
    { until: "never" },
  ] as Partial<ReplayForm>[]) {
    assert.ok("fault" in replayBody({ ...form, ...part }), JSON.stringify(part));
  }
  const ids = Array.from({ length: 101 }, (_, index) => `E${index}`).join(" ");
  assert.ok("fault" in replayBody({ ...form, from: "events", events: ids }));
  assert.deepEqual(replayBody({ ...form, from: "events", events: " A,\nB " }), { body: { event_ids: ["A", "B"] } });
  assert.deepEqual(replayBody({ ...form, from: "all", failedOnly: true }), { body: { failed_only: true } });
});

test("times of fields go there and back", () => {
  const time = new Date(2026, 1, 3, 4, 5);
  assert.equal(localOf(time), "2026-02-03T04:05");
  assert.equal(isoOf(localOf(time)), time.toISOString());
  const labels = (hour: number) => quickTimes(new Date(2026, 1, 3, hour, 30)).map(({ label }) => label);
  assert.ok(labels(13).includes("noon"));
  assert.ok(!labels(9).includes("noon"));
});

const letter = (id: string, kind: string, payload: unknown) => ({
  id,
  type: "paid",
  class: kind,
  error: "the answer was 500",
  status: 500,
  given_up_at: before(0),
  event: { payload },
});

test("dead letters are found by all words, in the payload too", () => {
  const letters = [
    letter("A", "status", { order: 7 }),
    letter("B", "timeout", { order: 8 }),
    letter("C", "status", null),
  ];
  const ids = (text: string, kind = "") => matching(letters, { text, class: kind }).map(({ id }) => id);
  assert.deepEqual(ids(""), ["A", "B", "C"]);
  assert.deepEqual(ids('PAID "order":8'), ["B"]);
  assert.deepEqual(ids("500", "status"), ["A", "C"]);
  assert.deepEqual(classesOf(letters), [
    { name: "status", count: 2 },
    { name: "timeout", count: 1 },
  ]);
  assert.ok(isEmpty({ text: " ", class: "" }));
});

test("a preview is read with care", () => {
  assert.deepEqual(previewOf(null), { event: null, chosen: false, why: null, request: null, error: null });
  const read = previewOf({
    event: { id: "E", type: "t", payload: 1 },
    chosen: true,
    request: { url: "u", headers: { a: 1 }, body: "{}" },
  });
  assert.deepEqual(read.event, { id: "E", type: "t", payload: 1 });
  assert.deepEqual(read.request, { method: "POST", url: "u", headers: { a: "1" }, body: "{}" });
});

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  beginOf,
  clocksApart,
  deliveriesOf,
  isOpen,
  lanesOf,
  notChosenOf,
  pathOf,
  stagesOf,
  titleOf,
  waitsText,
  type Step,
  type Trace,
} from "../src/pages/trace/model";

const NODES = [1, 2, 3].map((id) => ({ id, name: `node-${id}` }));
const WEBHOOK = { id: "w1", name: "orders" };
const CONSUMER = { id: "c1", name: null };

function at(micros: number): string {
  const seconds = String(Math.floor(micros / 1e6)).padStart(2, "0");
  return `2026-11-30T17:00:${seconds}.${String(micros % 1e6).padStart(6, "0")}Z`;
}

function step(kind: string, node: number, micros: number | null, more: Partial<Step> = {}): Step {
  return { kind, node: NODES[node - 1] ?? null, at: micros === null ? null : at(micros), ...more };
}

function trace(steps: Step[]): Trace {
  const event = { id: "x", seq: 9, subject: "orders-7", type: "order_paid", ts: at(0) };
  return { event, steps, gone: [], unreachable: [] };
}

const WHOLE = trace([
  step("received", 2, 100, { by: "app", protocol: "http" }),
  step("proposed", 2, 400, { proposal: "2-1-7" }),
  step("committed", 1, 2400, { log_index: 12 }),
  step("applied", 1, 2600),
  step("applied", 2, 2900),
  step("applied", 3, 5400),
  step("delivered", 1, 3000, { sockets: 1000, slowest_us: 900, waiting: 0 }),
  step("delivered", 3, 6000, { sockets: 1, slowest_us: 2500, waiting: 2 }),
  step("attempt", 3, 1_000_000, { webhook: WEBHOOK, attempt: 1, status: 500, outcome: "failed", duration_ms: 12 }),
  step("attempt", 3, 3_000_000, {
    webhook: WEBHOOK,
    attempt: 2,
    status: null,
    class: "timeout",
    error: "no answer came within the time limit",
    outcome: "failed",
    duration_ms: 900,
  }),
  step("acknowledged", 1, 2_000_000, { consumer: CONSUMER }),
  step("pending", 3, null, { webhook: WEBHOOK }),
]);

test("stages follow each other", () => {
  const stages = stagesOf(WHOLE);
  assert.deepEqual(
    stages.map(({ key, tone, text, until, took }) => [key, tone, text, until, took]),
    [
      ["received", "ok", "node-2", 0, null],
      ["proposed", "ok", "to the leader", 300, 300],
      ["committed", "ok", "log index 12", 2300, 2000],
      ["applied", "ok", "by 3 nodes", 5300, 3000],
      ["delivered", "warn", "handed to 1,001 sockets' queues, the slowest after 2.5 ms, 2 still waiting", 5900, 600],
      ["webhook", "warn", "1 failed, tried again", 2_999_900, null],
      ["consumer", "ok", "1 acknowledged", 1_999_900, null],
    ],
  );
});

test("each node has a lane, with marks at their times", () => {
  const lanes = lanesOf(WHOLE);
  assert.deepEqual(
    lanes.map((lane) => [lane.node.name, lane.marks.map((mark) => [mark.kind, mark.after])]),
    [
      [
        "node-2",
        [
          ["received", 0],
          ["proposed", 300],
          ["applied", 2800],
        ],
      ],
      [
        "node-1",
        [
          ["committed", 2300],
          ["applied", 2500],
          ["delivered", 2900],
        ],
      ],
      [
        "node-3",
        [
          ["applied", 5300],
          ["delivered", 5900],
        ],
      ],
    ],
  );
  assert.deepEqual([lanes[0]?.marks[0]?.share, lanes[2]?.marks[1]?.share], [0, 1]);
  assert.equal(lanes[0]?.marks[0]?.text, 'with token "app" over HTTP at node-2');
});

test("a node that gave no answer has a lane that says so", () => {
  const silent = { id: 4, name: "node-4" };
  const lanes = lanesOf({ ...WHOLE, unreachable: [silent] });
  assert.equal(lanes.length, 4);
  assert.deepEqual(lanes[3], { node: silent, marks: [], isSilent: true });
});

test("an event that waits says why, and those that do not get it say why not", () => {
  const waits = (more: Partial<Step>) => waitsText(step("pending", 1, null, more));
  assert.equal(waits({}), "");
  assert.equal(waits({ reason: "behind", ahead: 7200 }), "7,200 events come before it");
  assert.equal(waits({ reason: "unread", ahead: 1 }), "no reader has acknowledged it; 1 event comes before it");
  assert.equal(waits({ reason: "retry", ahead: 0 }), "it failed, and is tried again");
  assert.equal(waits({ reason: "some_thing" }), "some thing");
  const not = { ...WHOLE, not_chosen: [{ webhook: WEBHOOK, why: "it takes no events of the type x" }] };
  assert.deepEqual(notChosenOf(not), [{ kind: "webhook", receiver: WEBHOOK, why: "it takes no events of the type x" }]);
  assert.deepEqual(notChosenOf(WHOLE), []);
  assert.deepEqual(pathOf("shop", "webhook", WEBHOOK), ["maps", "shop", "webhooks", "w1"]);
  assert.deepEqual(pathOf("shop", "consumer", { id: "c1", name: "jobs" }), ["maps", "shop", "consumers", "jobs"]);
});

test("a short attempt took something", () => {
  const short = step("attempt", 1, 5, { webhook: WEBHOOK, attempt: 1, status: 204, duration_ms: 0 });
  assert.equal(deliveriesOf(trace([short]))[0]?.steps[0]?.text, "status 204 in less than 1 ms");
});

test("deliveries have their attempts, and the state that they end in", () => {
  const [webhook, consumer] = deliveriesOf(WHOLE);
  assert.deepEqual(
    webhook?.steps.map(({ title, text, tone }) => [title, text, tone]),
    [
      ["Attempt 1", "status 500 in 12 ms", "warn"],
      ["Attempt 2", "no answer in time after 900 ms: no answer came within the time limit", "warn"],
      ["Waits", "", "info"],
    ],
  );
  assert.deepEqual(
    [webhook?.kind, webhook?.state, consumer?.kind, consumer?.state],
    ["webhook", "failed, tried again", "consumer", "acknowledged"],
  );
});

test("an attempt says its status, or why there is none", () => {
  const told = (more: Partial<Step>) =>
    deliveriesOf(trace([step("attempt", 1, 1, { webhook: WEBHOOK, ...more })]))[0]?.steps[0]?.text;
  assert.equal(told({ status: 503, class: "status", error: "status 503" }), "status 503");
  const led = "redirects are not followed";
  assert.equal(told({ status: 302, class: "redirect", error: `status 302; ${led}` }), `status 302: ${led}`);
  assert.equal(told({ status: null, class: "connect", error: null }), "no connection to the receiver");
  assert.equal(told({ status: null }), "no answer");
  assert.equal(told({ status: 204, class: "delivered", error: null }), "status 204");
});

test("a delivery ends in one of five ways", () => {
  const attempt = (outcome: string, micros: number) =>
    step("attempt", 1, micros, { webhook: WEBHOOK, attempt: 1, status: 200, outcome });
  const state = (...steps: Step[]) => deliveriesOf(trace(steps))[0]?.state;
  assert.equal(state(attempt("failed", 1), attempt("delivered", 2)), "delivered");
  assert.equal(state(attempt("gave_up", 1), step("dead_letter", 1, 2, { webhook: WEBHOOK })), "given up");
  assert.equal(state(step("dead_letter", 1, 1, { webhook: WEBHOOK }), attempt("delivered", 2)), "delivered");
  assert.equal(state(step("pending", 1, null, { consumer: CONSUMER })), "waiting");
  assert.equal(state(attempt("failed", 1)), "failed");
});

test("what is not known is not made up", () => {
  const empty = { event: null, steps: [], gone: ["all of it"], unreachable: [] };
  assert.deepEqual([stagesOf(empty), lanesOf(empty), deliveriesOf(empty), beginOf(empty)], [[], [], [], null]);
  const untimed = trace([step("received", 1, null), { kind: "applied", node: null, at: "soon" }]);
  assert.deepEqual(
    stagesOf(untimed).map((stage) => [stage.until, stage.took]),
    [
      [null, null],
      [null, null],
    ],
  );
  assert.deepEqual(
    lanesOf(untimed).map((lane) => lane.marks.map((mark) => mark.share)),
    [[null]],
  );
  assert.equal(titleOf("some_new_kind"), "some new kind");
});

test("clocks that are apart are noticed", () => {
  assert.equal(
    clocksApart(trace([step("received", 1, 500), step("proposed", 1, 600), step("committed", 2, 300)])),
    true,
  );
  assert.equal(clocksApart(trace([step("committed", 1, 500), step("applied", 2, 400), step("applied", 1, 600)])), true);
  assert.equal(clocksApart(trace([step("received", 1, 500), step("proposed", 1, 600)])), false);
  assert.equal(clocksApart(WHOLE), false);
});

test("a trace is open while something may still happen", () => {
  const later = Date.parse(at(0)) + 3_600_000;
  assert.equal(isOpen(WHOLE, later), true);
  assert.equal(isOpen(trace([]), later), false);
  assert.equal(isOpen(trace([]), Date.parse(at(0)) + 1000), true);
});

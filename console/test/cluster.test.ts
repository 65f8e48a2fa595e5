import assert from "node:assert/strict";
import { test } from "node:test";
import type { Member, Problem } from "../src/cluster";
import {
  hasCrashed,
  healthOf,
  operationIn,
  toneOf,
  unknownHealth,
  wordOf,
  worstFirst,
} from "../src/pages/cluster/health";

function member(id: number, state: Member["state"] = "up", voter = true): Member {
  return { id, name: `node-${id}`, role: "follower", voter, state, reachable: state !== "unreachable", peer_addr: "" };
}

function problem(severity: Problem["severity"], code: Problem["code"]): Problem {
  return { severity, code, node: null, what: "", do: "" };
}

function word(members: Member[], problems: Problem[] = [], healthy = true): string {
  const health = healthOf({ healthy, members, problems, changing: false });
  return health.why === null ? health.word : `${health.word}: ${health.why}`;
}

test("the cluster is green only if every node answers", () => {
  const whole = [member(1), member(2, "drained"), member(3)];
  assert.deepEqual(healthOf({ healthy: true, members: whole, problems: [] }), {
    tone: "ok",
    word: "healthy",
    why: null,
  });
  assert.equal(
    word([member(1), member(2), member(3, "unreachable")]),
    "degraded: 2 of 3 nodes: one more loss stops writes",
  );
  const five = [1, 2, 3, 4].map((id) => member(id));
  assert.equal(word([...five, member(5, "unreachable")]), "degraded: 4 of 5 nodes: 2 more losses stop writes");
  assert.equal(word([...whole, member(4, "unreachable", false)]), "degraded: node-4 does not answer, and has no vote");
  assert.equal(word(whole, [], false), "unhealthy");
  assert.equal(word(whole, [problem("critical", "webhooks_losing")]), "degraded: 1 critical problem");
});

test("the worst problems stand first, and missing nodes right behind them", () => {
  const all = [
    problem("info", "single_node"),
    problem("warning", "lag"),
    problem("warning", "unreachable"),
    problem("critical", "disk_full"),
  ];
  assert.deepEqual(
    worstFirst(all).map(({ code }) => code),
    ["disk_full", "unreachable", "lag", "single_node"],
  );
  assert.deepEqual(worstFirst(all).map(toneOf), ["bad", "bad", "warn", "info"]);
});

test("what is red is never called a warning", () => {
  const words = [
    problem("critical", "disk_full"),
    problem("warning", "unreachable"),
    problem("warning", "half_reachable"),
    problem("warning", "lag"),
    problem("info", "single_node"),
  ].map((one) => `${toneOf(one)}: ${wordOf(one)}`);
  assert.deepEqual(words, [
    "bad: critical",
    "bad: node missing",
    "bad: node half reachable",
    "warn: warning",
    "info: note",
  ]);
});

test("the operation that an advice names is offered as a button", () => {
  assert.equal(operationIn("see its log, restart it; if it will not come back: waypost cluster remove 2"), "remove");
  assert.equal(operationIn("waypost cluster undrain 3, when the work on it is done"), "undrain");
  assert.equal(operationIn("see its log"), null);
  assert.equal(operationIn("waypost cluster status"), null);
});

test("nothing is known of a cluster whose node gives no answer", () => {
  assert.deepEqual(unknownHealth(1000, 22_000), { tone: "off", word: "not known", why: "no answer for 21 s" });
});

test("a crash is news for a day", () => {
  const hour = 3_600_000;
  assert.ok(hasCrashed({ after_crash: true, uptime_ms: hour }));
  assert.ok(!hasCrashed({ after_crash: true, uptime_ms: 25 * hour }));
  assert.ok(!hasCrashed({ after_crash: false, uptime_ms: hour }));
  assert.ok(!hasCrashed({ after_crash: null, uptime_ms: hour }));
});

import assert from "node:assert/strict";
import { test } from "node:test";
import type { Member, Problem } from "../src/cluster";
import { healthOf, toneOf, worstFirst } from "../src/pages/cluster/health";

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

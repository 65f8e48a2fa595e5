import assert from "node:assert/strict";
import { test } from "node:test";
import { search } from "../src/maps";
import { changes, commandLine, texts } from "../src/pages/settings/fields";
import { fromRule, isMatch, nameDecides, toRule, type ChannelRule } from "../src/pages/settings/rule";
import { toBody, toDraft, unchanged, type Issuer } from "../src/pages/tokens/issuer";

const MAP = {
  id: "11111111-1111-4111-8111-111111111111",
  slug: "orders",
  name: "All orders",
  limits: { connections: 100, webhooks: null },
  retention: { events: 1000, age_seconds: null, bytes: null, webhook_backlog: { bytes: 0, age_seconds: 60 } },
  inserted_at: "2026-11-30T17:00:00.000Z",
  updated_at: "2026-11-30T17:00:00.000Z",
};

test("maps are found by all words, those that begin so first", () => {
  const named = (slug: string | null, name: string) => ({ id: `id-of-${name}`, slug, name });
  const maps = [named("shop-orders", "B"), named("orders", "A"), named(null, "Old orders")];
  assert.deepEqual(
    search(maps, "ORDERS").map((map) => map.name),
    ["A", "Old orders", "B"],
  );
  assert.deepEqual(
    search(maps, "shop b").map((map) => map.name),
    ["B"],
  );
  assert.equal(search(maps, "").length, 3);
  assert.equal(search(maps, "nothing").length, 0);
});

test("only what was changed of a map is sent", () => {
  const now = texts(MAP);
  assert.deepEqual(changes(MAP, now), { body: {}, faults: {} });
  const { body, faults } = changes(MAP, {
    ...now,
    name: "Orders",
    "limits.connections": "",
    "limits.webhooks": "5",
    "retention.webhook_backlog.bytes": "1024",
  });
  assert.deepEqual(faults, {});
  assert.deepEqual(body, {
    name: "Orders",
    limits: { connections: null, webhooks: 5 },
    retention: { webhook_backlog: { bytes: 1024 } },
  });
  assert.equal(
    commandLine("orders", body),
    "waypost map update orders --name Orders --connections none --webhooks 5 --backlog-bytes 1024",
  );
});

test("what the command line has no words for is a request", () => {
  const { body } = changes(MAP, { ...texts(MAP), "retention.events": "" });
  assert.deepEqual(body, { retention: { events: null } });
  assert.match(commandLine("orders", body), /^curl -sS -X PATCH .*-d '\{"retention":\{"events":null\}\}'$/s);
});

test("fields of a map that are no numbers are faults", () => {
  const { faults } = changes(MAP, { ...texts(MAP), slug: "No", "limits.connections": "1.5", "retention.bytes": "-1" });
  assert.deepEqual(Object.keys(faults).sort(), ["limits.connections", "retention.bytes", "slug"]);
});

test("a channel rule goes through its fields unchanged, and what is open stays open", () => {
  const rules: ChannelRule[] = [
    { match: "chat-*" },
    {
      match: "presence-*",
      durability: "ephemeral",
      history: { events: 5, seconds: 60 },
      client_events: false,
      presence: true,
      members_max: 7,
      join: "signature",
    },
  ];
  for (const rule of rules) assert.deepEqual(toRule(fromRule(rule)), { rule: toRule(fromRule(rule)).rule, faults: {} });
  assert.deepEqual(toRule(fromRule(rules[0] ?? { match: "" })).rule, rules[0]);
  const second = toRule(fromRule(rules[1] ?? { match: "" })).rule;
  assert.deepEqual(JSON.parse(JSON.stringify(second)), rules[1]);
  const bad = { ...fromRule({ match: "a b" }), events: "0", membersMax: "x" };
  assert.deepEqual(Object.keys(toRule(bad).faults).sort(), ["events", "match", "membersMax"]);
});

test("a pattern matches as the server's does", () => {
  assert.match(nameDecides("orders-7"), /^Its name decides: its events are stored, /);
  assert.match(nameDecides("private-encrypted-a"), /never stored, and a Pusher client needs a signature/);
  assert.match(nameDecides("presence-lobby"), /members see each other/);
  assert.match(nameDecides("cache-a"), /the last one/);
  assert.match(nameDecides("$channel/a"), /stored/);
  assert.ok(isMatch("orders-*", "orders-"));
  assert.ok(isMatch("*", ""));
  assert.ok(isMatch("a*c", "abbc"));
  assert.ok(!isMatch("a.c", "abc"));
  assert.ok(!isMatch("orders", "orders-7"));
});

test("the secret of an issuer is kept if none is given", () => {
  const issuer: Issuer = {
    name: "game",
    algorithm: "HS256",
    secret: "********",
    issuer: "game",
    audience: null,
    connections: 100,
    inserted_at: MAP.inserted_at,
  };
  assert.deepEqual(unchanged(issuer), {
    name: "game",
    algorithm: "HS256",
    issuer: "game",
    audience: null,
    connections: 100,
  });
  const kept = toBody(toDraft(issuer), issuer);
  assert.deepEqual(kept.faults, {});
  assert.ok(!("secret" in kept.body));
  assert.deepEqual(toBody({ ...toDraft(issuer), key: "short" }, issuer).faults, { key: "At least 32 bytes." });
  assert.ok("key" in toBody({ ...toDraft(null), name: "new" }, null).faults);
  const url = {
    ...toDraft(null),
    name: "x",
    algorithm: "RS256" as const,
    kind: "jwks_url" as const,
    key: "https://a/",
  };
  assert.deepEqual(Object.keys(toBody(url, null).faults).sort(), ["audience", "issuer"]);
});

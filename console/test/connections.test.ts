import assert from "node:assert/strict";
import { test } from "node:test";
import { addressOf, closedWords, lagOf, openedBy, type Connection } from "../src/pages/connections/connection";

function connection(more: Partial<Connection> = {}): Connection {
  return {
    id: "3-000000000000a7",
    node: { id: 3, name: "node-3" },
    protocol: "sse",
    address: "192.0.2.7",
    port: 51_000,
    user_agent: "curl/8.5.0",
    token: null,
    app: null,
    user: null,
    age_seconds: 60,
    subjects: ["*"],
    lag_events: 0,
    lag_bytes: 0,
    ...more,
  };
}

test("clients of one address are told apart", () => {
  assert.equal(addressOf(connection()), "192.0.2.7:51000");
  assert.equal(addressOf(connection({ address: "2001:db8::1" })), "[2001:db8::1]:51000");
  assert.equal(addressOf(connection({ port: null })), "192.0.2.7");
  assert.match(addressOf(connection({ address: null })), /no longer known/);
  const nameOf = (id: string) => `<${id}>`;
  assert.equal(openedBy(connection({ token: "t1", user: "ada" }), nameOf), "user ada, token <t1>");
  assert.equal(openedBy(connection({ app: { app_id: "1", key: "k" } }), nameOf), "app k");
  assert.equal(openedBy(connection(), nameOf), null);
});

test("a client that reads nothing is seen before its events wait in the node", () => {
  assert.equal(lagOf(connection()), null);
  const unsent = 250 * 1024;
  assert.deepEqual(lagOf(connection({ lag_bytes: unsent, unsent_bytes: unsent })), {
    events: "0 events",
    where: "250 KiB sent, not read",
    slow: null,
  });
  assert.deepEqual(
    lagOf(connection({ lag_events: 7, lag_bytes: unsent + 2048, unsent_bytes: unsent, waiting_seconds: 40 })),
    { events: "7 events", where: "2.0 KiB in the node, 250 KiB sent, not read", slow: "does not keep up, for 40 s" },
  );
  assert.deepEqual(lagOf(connection({ lag_events: 1, lag_bytes: 16 })), {
    events: "1 event",
    where: "16 B in the node",
    slow: null,
  });
  assert.equal(closedWords("too_slow"), "it read too slowly");
  assert.equal(closedWords("some_thing"), "some thing");
});

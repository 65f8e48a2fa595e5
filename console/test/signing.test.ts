import assert from "node:assert/strict";
import { test } from "node:test";
import { changeLines, signingWith, signText } from "../src/lib/delivery/signing";
import { counted } from "../src/lib/words";

const webhooks = [
  { id: "a1", key: "old", profile: "pusher", origin: "api" },
  { id: "b2", key: "old", profile: "pusher", origin: "config" },
  { id: "c3", key: "another", profile: "pusher", origin: "api" },
  { id: "d4", key: "old", profile: "standard", origin: "api" },
  { id: "e5", key: null, profile: "pusher", origin: "api" },
];

test("the webhooks that sign with a key are found, and how each gets another one", () => {
  const signing = signingWith(webhooks, "old");
  assert.deepEqual(
    signing.map(({ id }) => id),
    ["a1", "b2"],
  );
  assert.deepEqual(signingWith(webhooks, "unused"), []);
  assert.deepEqual(
    signing.map((webhook) => changeLines("shop", "new", webhook)),
    [
      "waypost webhook update --key new shop a1\n" +
        "echo SECRET | waypost webhook rotate --secret-file - --overlap-seconds 0 shop a1",
      null,
    ],
  );
});

test("what is counted is singular where it is one", () => {
  assert.deepEqual([1, 2].map(signText), ["1 webhook still signs", "2 webhooks still sign"]);
  assert.deepEqual(
    [0, 1, 1234, null, undefined].map((count) => counted(count, "event")),
    ["0 events", "1 event", "1,234 events", "– events", "– events"],
  );
});

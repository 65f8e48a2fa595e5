import assert from "node:assert/strict";
import { test } from "node:test";
import { firstOpen, moveOf, PAGE, rowsOf, SHORT, valueAt, type Json, type Shown } from "../src/lib/json-tree/model";
import { celCondition, celPath, celText } from "../src/lib/json-tree/path";

function shown(...open: string[]): Shown {
  return { open: new Set(open), counts: new Map() };
}

const KILL: Json = { value: 2, victim: { ship: "Stratios", "a/b~c": null }, tags: ["a", "b"], empty: {} };

test("a closed container is one row", () => {
  const rows = rowsOf(KILL, shown(""));
  assert.deepEqual(
    rows.map((row) => [row.pointer, row.depth, row.open, row.text]),
    [
      ["", 0, true, "4 members"],
      ["/value", 1, null, "2"],
      ["/victim", 1, false, "2 members"],
      ["/tags", 1, false, "2 elements"],
      ["/empty", 1, null, "0 members"],
    ],
  );
  assert.deepEqual(
    rows.slice(1).map((row) => [row.position, row.siblings]),
    [
      [1, 4],
      [2, 4],
      [3, 4],
      [4, 4],
    ],
  );
});

test("pointers are escaped, and lead back to the value", () => {
  const rows = rowsOf(KILL, shown("", "/victim"));
  const odd = rows.find((row) => row.name === "a/b~c");
  assert.equal(odd?.pointer, "/victim/a~1b~0c");
  assert.equal(valueAt(KILL, "/victim/a~1b~0c"), null);
  assert.equal(valueAt(KILL, "/victim/none"), undefined);
  assert.equal(valueAt(KILL, "/constructor"), undefined);
});

test("members of any name are rows", () => {
  const odd = JSON.parse(`{"__proto__":{"a":1},"constructor":2,"":3,"~more":4}`) as Json;
  const rows = rowsOf(odd, shown("", "/__proto__"));
  assert.deepEqual(
    rows.map((row) => row.name),
    [null, "__proto__", "a", "constructor", "", "~more"],
  );
  assert.equal(new Set(rows.map((row) => row.pointer)).size, rows.length);
  assert.equal(valueAt(odd, "/__proto__/a"), 1);
});

test("a large container shows a part, and more of it when asked", () => {
  const large: Json = Array.from({ length: 250 }, (_, index) => index);
  const rows = rowsOf(large, shown(""));
  assert.equal(rows.length, 1 + PAGE + 1);
  const more = rows.at(-1);
  assert.equal(more?.text, "150 more");
  const move = moveOf(rows, more?.pointer ?? "", "Enter");
  assert.deepEqual(move, { focus: more?.pointer, more: "" });
  const wider = rowsOf(large, { open: new Set([""]), counts: new Map([["", 300]]) });
  assert.equal(wider.length, 251);
});

test("a long text is cut between characters", () => {
  const rows = rowsOf("😀".repeat(SHORT + 5), shown());
  assert.equal(rows[0]?.text, JSON.stringify(`${"😀".repeat(SHORT)}…`));
});

test("small values are open at first, and large ones are not", () => {
  assert.deepEqual([...firstOpen(KILL)], ["", "/victim", "/tags"]);
  const large: Json = { list: Array.from({ length: 1000 }, () => ({ a: 1 })) };
  assert.deepEqual([...firstOpen(large)], [""]);
  assert.deepEqual([...firstOpen(7)], []);
});

test("keys walk the tree", () => {
  const rows = rowsOf(KILL, shown("", "/victim"));
  const to = (from: string, key: string) => moveOf(rows, from, key);
  assert.deepEqual(to("", "ArrowDown"), { focus: "/value" });
  assert.deepEqual(to("", "ArrowUp"), { focus: "" });
  assert.deepEqual(to("", "End"), { focus: "/empty" });
  assert.deepEqual(to("/empty", "Home"), { focus: "" });
  assert.deepEqual(to("/tags", "ArrowRight"), { focus: "/tags", toggle: { pointer: "/tags", open: true } });
  assert.deepEqual(to("/victim", "ArrowRight"), { focus: "/victim/ship" });
  assert.deepEqual(to("/victim/ship", "ArrowLeft"), { focus: "/victim" });
  assert.deepEqual(to("/victim", "ArrowLeft"), { focus: "/victim", toggle: { pointer: "/victim", open: false } });
  assert.deepEqual(to("/tags", " "), { focus: "/tags", toggle: { pointer: "/tags", open: true } });
  assert.deepEqual(to("/value", "*"), { focus: "/value", openAll: ["/tags"] });
  assert.deepEqual(to("/value", "t"), { focus: "/tags" });
  assert.equal(to("/value", "ArrowRight"), null);
  assert.equal(to("/value", "Enter"), null);
  assert.equal(to("/value", "Tab"), null);
  assert.deepEqual(to("/gone", "ArrowDown"), { focus: "/value" });
});

test("a value is named as an expression names it", () => {
  const payload: Json = { victim: { ship: 'Str"a\\tios\n\u2028' }, "a b": [{ in: true }], n: -1.5, none: null };
  assert.equal(celPath(payload, "/victim/ship"), "payload.victim.ship");
  assert.equal(celPath(payload, "/a b/0/in"), `payload["a b"][0]["in"]`);
  assert.equal(celPath(payload, ""), "payload");
  assert.equal(celCondition(payload, "/victim/ship"), `payload.victim.ship == "Str\\"a\\\\tios\\n\\u2028"`);
  assert.equal(celCondition(payload, "/n"), "payload.n == -1.5");
  assert.equal(celCondition(payload, "/none"), "payload.none == null");
  assert.equal(celCondition(payload, "/victim"), null);
  assert.equal(celCondition("x".repeat(1000), ""), null);
  assert.equal(celText("\u0007\u0085"), `"\\u0007\\u0085"`);
});

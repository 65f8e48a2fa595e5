import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { complete } from "../src/lib/cel/complete";
import { faultOf, tooLong } from "../src/lib/cel/error";
import { Fields } from "../src/lib/cel/fields";
import { tokensOf } from "../src/lib/cel/tokens";
import { FIELDS, FUNCTIONS, LONGEST, LOOPS, METHODS, type Word } from "../src/lib/cel/words";

function seen(): Fields {
  const fields = new Fields();
  fields.learn({
    type: "map_kill",
    subject: "orders-7",
    payload: {
      value: 2e9,
      victim: { ship: "Stratios", corp: null, "ship name": "x" },
      attackers: [{ ship: "Capsule", final: false }, { id: 2 }],
    },
  });
  fields.learn({ type: "map_kill", payload: { victim: { ship: "Rifter" } } });
  fields.learn({ type: "add_system", payload: [1] });
  return fields;
}

/** What is proposed at the mark `|` of a text. */
function at(marked: string): string[] {
  const caret = marked.indexOf("|");
  return complete(marked.replace("|", ""), caret, seen())?.options.map((option) => option.label) ?? [];
}

/** The text after the first proposal is taken, with the caret as `|`. */
function taken(marked: string): string {
  const caret = marked.indexOf("|");
  const text = marked.replace("|", "");
  const found = complete(text, caret, seen());
  const option = found?.options[0];
  if (found === null || option === undefined) return "nothing";
  const insert = `${option.insert.slice(0, option.caret)}|${option.insert.slice(option.caret)}`;
  return text.slice(0, found.from) + insert + text.slice(found.to);
}

test("pieces of an expression", () => {
  const kinds = tokensOf(`payload.a >= 1.5e3 && r'\\' != "a\\"b" // end`).map((token) => [token.kind, token.text]);
  assert.deepEqual(kinds, [
    ["name", "payload"],
    ["sign", "."],
    ["name", "a"],
    ["sign", ">="],
    ["number", "1.5e3"],
    ["sign", "&&"],
    ["text", "r'\\'"],
    ["sign", "!="],
    ["text", `"a\\"b"`],
    ["comment", "// end"],
  ]);
  assert.equal(tokensOf(`type == 'x`).at(-1)?.kind, "open");
  assert.deepEqual(
    tokensOf("😀").map((token) => token.text),
    ["😀"],
  );
});

test("an operand begins with a field or a function", () => {
  assert.equal(at("|")[0], "type");
  assert.deepEqual(at("pay|"), ["payload"]);
  assert.ok(at("payload.value > 1 && s|").includes("subject"));
  assert.ok(at("!|").includes("has"));
  assert.ok(!at("|").includes("in"));
  assert.deepEqual(at("payload.value |"), ["in"]);
  assert.deepEqual(at("type == payload|"), []);
  assert.equal(taken("ha|"), "has(|)");
  assert.equal(taken("ha|(payload.a)"), "has|(payload.a)");
});

test("behind a dot stand the members that were seen, and methods", () => {
  assert.deepEqual(at("payload.|").slice(0, 3), ["attackers", "value", "victim"]);
  assert.deepEqual(at("payload.victim.sh|"), ["ship", "ship name"]);
  assert.equal(taken("payload.victim.ship x|"), "nothing");
  assert.equal(taken("payload.vic|"), "payload.victim|");
  assert.deepEqual(at("payload.value.|"), []);
  assert.ok(at("type.|").includes("startsWith"));
  assert.equal(taken("type.st|"), `type.startsWith("|")`);
  assert.ok(at("payload.attackers.|").includes("exists"));
  assert.ok(!at("payload.attackers.|").includes("startsWith"));
  assert.equal(taken("payload.attackers.exi|"), "payload.attackers.exists(x, |)");
});

test("a name that no dot can stand before is written in brackets", () => {
  const fields = new Fields();
  fields.learn({ type: "a", payload: { "a b": { c: 1 } } });
  const found = complete("payload.a", 9, fields);
  assert.equal(found?.from, 7);
  assert.equal(found?.options[0]?.insert, `["a b"]`);
  const inside = complete(`payload["a b"].`, 15, fields);
  assert.deepEqual(
    inside?.options.map((option) => option.label),
    ["c", "size", "exists", "all", "exists_one", "map", "filter"],
  );
});

test("the element of a loop has the members of the elements", () => {
  assert.equal(at("payload.attackers.exists(a, |")[0], "a");
  assert.deepEqual(at("payload.attackers.exists(a, a.|").slice(0, 3), ["final", "id", "ship"]);
  assert.deepEqual(at("payload.attackers.exists(a, a.final && payload.attackers.all(b, b.fi|"), ["final", "filter"]);
  assert.deepEqual(at("payload.attackers[0].fin|"), ["final"]);
  assert.equal(at("payload.attackers.exists(a, a.id == 2) && |")[0], "type");
});

test("inside a text stand the values that were seen there", () => {
  assert.deepEqual(at(`type == "|`), ["add_system", "map_kill"]);
  assert.equal(taken(`type == "ma|"`), `type == "map_kill"|`);
  assert.equal(taken(`type.startsWith("ma|")`), `type.startsWith("map_kill"|)`);
  assert.deepEqual(at(`payload.victim.ship in ["Rifter", "|`), ["Rifter", "Stratios"]);
  assert.deepEqual(at(`payload.attackers.exists(a, a.ship != '|`), ["Capsule"]);
  assert.deepEqual(at(`payload.none == "|`), []);
  assert.deepEqual(at(`// type == "|`), []);
});

test("what is learnt is bounded", () => {
  const fields = new Fields();
  for (let round = 0; round < 50; round += 1) {
    const payload = Object.fromEntries(
      Array.from({ length: 1000 }, (_, index) => [`m${round}_${index}`, { a: { b: index } }]),
    );
    fields.learn({ type: `t${round}`, payload });
  }
  assert.equal(fields.payload.members.size, 200);
});

test("the server's error points to its place", () => {
  const text = "payload.x > 1 && valu > 1";
  assert.deepEqual(faultOf(`at 18: "valu" is not known here`, text), {
    message: `"valu" is not known here`,
    at: { from: 17, to: 21 },
  });
  assert.deepEqual(faultOf("at 2:6: no", "type ==\n 'é' # 1").at, { from: 13, to: 14 });
  assert.deepEqual(faultOf("at 8: no", "'😀' == #").at, { from: 8, to: 9 });
  assert.deepEqual(faultOf("at 99: no", "a").at, { from: 1, to: 1 });
  assert.deepEqual(faultOf("at 9:1: no", "a").at, { from: 1, to: 1 });
  assert.deepEqual(faultOf("the expression is neither true nor false", "a"), {
    message: "the expression is neither true nor false",
    at: null,
  });
  assert.equal(tooLong("é".repeat(512)), null);
  assert.match(tooLong("é".repeat(513)) ?? "", /1026/);
});

test("the words are those of the server", () => {
  const source = (file: string) => readFileSync(`../src/core/expression/${file}`, "utf8");
  const found = (text: string, pattern: RegExp) => Array.from(text.matchAll(pattern), (match) => match[1] ?? "").sort();
  const names = (all: readonly Word[]) => all.map((word) => word.name).sort();
  const functions = source("functions.rs");
  const loops = found(/LOOPS[^=]*= \[(.*?)\]/s.exec(source("parse.rs"))?.[1] ?? "", /"(\w+)"/g);
  assert.deepEqual(names(FUNCTIONS), [...found(functions, / function\("(\w+)"/g), "default", "has"].sort());
  assert.deepEqual(names(METHODS), [...found(functions, / method\("(\w+)"/g), ...loops].sort());
  assert.deepEqual([...LOOPS].sort(), loops);
  // The last two names are for templates alone.
  const named = / ALL: [^=]*= \[(.*?)\];/s.exec(source("step.rs"))?.[1] ?? "";
  const all = Array.from(named.matchAll(/\("(\w+)", Self::\w+\)/g), (match) => match[1] ?? "");
  assert.deepEqual(names(FIELDS), all.slice(0, -2).sort());
  assert.deepEqual(all.slice(-2), ["event", "events"]);
  assert.match(source("mod.rs"), new RegExp(`MAX_EXPRESSION_LEN: usize = ${LONGEST};`));
});

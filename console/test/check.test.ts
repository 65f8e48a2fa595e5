import assert from "node:assert/strict";
import { test } from "node:test";
import { checkJson, faultText } from "../src/lib/json-tree/check";

test("what JSON.parse takes is taken, and nothing else", () => {
  const texts = [
    "{}",
    "[]",
    " [1, 2 ,3] ",
    `{"a":{"b":[true,false,null]}}`,
    `"a\\u00e9\\n\\/"`,
    "-0",
    "0.5e-3",
    "1E+2",
    `""`,
    `{"":1}`,
    `{"a":1,"a":2}`,
    "",
    " ",
    "{",
    "[1",
    `{"a"`,
    `{"a":`,
    `{"a":1`,
    "{a:1}",
    "{'a':1}",
    "[1,]",
    `{"a":1,}`,
    "01",
    "1.",
    ".5",
    "+1",
    "1e",
    "--1",
    "tru",
    "True",
    "None",
    "NaN",
    "Infinity",
    "undefined",
    `"a`,
    `"a\nb"`,
    `"\\x"`,
    `"\\u12"`,
    "[1] 2",
    "{} {}",
    "[1 2]",
    `{"a" 1}`,
    "\u00a01",
    "// a",
    "1n",
    "'a'",
    "[",
    "]",
    "nullx",
    "-",
    "0x10",
    "\ufeff1",
    `"\t"`,
    "[,]",
    "{,}",
  ];
  for (const text of texts) {
    let parsed: unknown = undefined;
    try {
      parsed = JSON.parse(text);
    } catch {
      // It is no JSON.
    }
    const checked = checkJson(text);
    assert.equal(checked.fault === null, parsed !== undefined, `${JSON.stringify(text)}: ${JSON.stringify(checked)}`);
    if (checked.fault === null) assert.deepEqual(checked.value, parsed);
  }
});

test("a fault has its place", () => {
  const at = (text: string) => {
    const { fault } = checkJson(text);
    return fault === null ? null : faultText(fault);
  };
  assert.equal(at(`{"a": 1,\n "b": tru}`), "line 2, column 7: tru is no value of JSON; texts stand in double quotes");
  assert.equal(at(`{"a": 1`), "line 1, column 8: the JSON ends too early");
  assert.equal(at(`["😀" 1]`), "line 1, column 6: a comma or ] is expected");
  assert.equal(at(`{a: 1}`), "line 1, column 2: the name of a member is expected, in double quotes");
  assert.equal(at(`{"a" 1}`), "line 1, column 6: a colon is expected behind the name");
  assert.equal(at("1 2"), "line 1, column 3: nothing can stand behind the value");
});

test("what the server refuses is a fault", () => {
  assert.match(checkJson("[9007199254740993]").fault?.message ?? "", /2\^53/);
  assert.equal(checkJson("9007199254740991").fault, null);
  assert.equal(checkJson("1e300").fault, null);
  assert.match(checkJson("1e400").fault?.message ?? "", /too large/);
  assert.match(checkJson("[".repeat(100) + "]".repeat(100)).fault?.message ?? "", /levels/);
  assert.match(checkJson("[".repeat(100_000)).fault?.message ?? "", /levels/);
});

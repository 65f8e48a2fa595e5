import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import type { Json } from "../src/lib/json-tree/model";
import { jsLiteral, jsonText, pythonLiteral, shellWord } from "../src/lib/snippets/literals";
import { bodyOf, publishAs, type Publish } from "../src/lib/snippets/publish";
import { tailAsCommand, tailAsCurl } from "../src/lib/snippets/tail";

const NASTY = [
  "",
  " ",
  "'",
  "''",
  '"',
  "\\",
  "\\'",
  "$TOKEN",
  "${TOKEN}",
  "$(id)",
  "`id`",
  "!",
  "!!",
  "a;b",
  "a&b|c>d<e",
  "*",
  "?",
  "[a]",
  "{a,b}",
  "~",
  "~root",
  "#",
  "-n",
  "--",
  "=",
  "%s",
  "\n",
  "\r\n",
  "\t",
  "\u0000".slice(1),
  "\u0007",
  "\u007f",
  "\u0085",
  "é",
  "😀",
  "\u2028",
  "\u2029",
  "\u202e",
  "\u200b",
  "\ufeff",
  "</script>",
  "<b onclick=x>",
  "@/etc/passwd",
  "\u00a0",
  "${'a'}",
  "`${1}`",
  'f"{x}"',
  '"""',
  "'''",
  "\\u0041",
  "\\n",
  "%41",
  "a'b\"c\\d$e`f!g\nh",
];

/** Runs a script in a POSIX shell in which `curl` and `waypost` print what they are given, and returns that. */
function given(script: string, env: Record<string, string> = {}): string[] {
  const print = `{ for word; do printf '%s\\0' "$word"; done; }`;
  const run = spawnSync("sh", ["-c", `curl() ${print}\nwaypost() ${print}\n${script}`], {
    env: { PATH: process.env["PATH"], TOKEN: "secret of $(the) 'test'", ...env },
  });
  assert.equal(run.stderr.toString(), "");
  assert.equal(run.status, 0);
  return run.stdout.toString().split("\0").slice(0, -1);
}

test("a word of a shell is what it was", () => {
  for (const text of NASTY) assert.deepEqual(given(`curl ${shellWord(text)}`), [text], JSON.stringify(text));
});

function publish(text: string): Publish {
  const payload: Json = JSON.parse(
    JSON.stringify({ text, list: [text, 1.5, -0.25, 1e21, 1e-7, true, false, null, [], {}] }),
  ) as Json;
  (payload as { [name: string]: Json })[text] = 1;
  return {
    origin: "https://events.example.com",
    map: `m/${text}`,
    type: `t${text}`,
    subject: "orders-7",
    payload,
    key: "k'$(id)",
  };
}

test("curl sends the event as it is, and no file", () => {
  for (const text of NASTY) {
    const one = publish(text);
    const words = given(publishAs("curl", one));
    assert.equal(words[2], `https://events.example.com/api/maps/${encodeURIComponent(one.map)}/events`);
    assert.deepEqual(
      words.filter((_, index) => words[index - 1] === "-H"),
      ["Authorization: Bearer secret of $(the) 'test'", "Content-Type: application/json", "Idempotency-Key: k'$(id)"],
    );
    assert.equal(words.at(-2), "--data-raw");
    assert.deepEqual(JSON.parse(words.at(-1) ?? ""), bodyOf(one), JSON.stringify(text));
  }
});

test("JavaScript sends the event as it is", async () => {
  const script = (one: Publish) => publishAs("javascript", one);
  for (const text of [...NASTY, "\ud800"]) {
    const one = publish(text);
    const sent: { url: string; init: { headers: Record<string, string>; body: string } }[] = [];
    const fetch = async (url: string, init: { headers: Record<string, string>; body: string }) => {
      sent.push({ url, init });
      return { ok: true, json: async () => ({}) };
    };
    const AsyncFunction = (async () => {}).constructor as FunctionConstructor;
    const run = new AsyncFunction("fetch", "process", "console", script({ ...one, map: "m" }));
    await run(fetch, { env: { TOKEN: "secret" } }, { log: () => {} });
    assert.equal(sent[0]?.init.headers["Authorization"], "Bearer secret");
    assert.deepEqual(JSON.parse(sent[0]?.init.body ?? ""), bodyOf(one), JSON.stringify(text));
  }
});

test("a member with the name of the prototype is a member", () => {
  const value = JSON.parse(`{"__proto__":{"a":1},"b":{"__proto__":null}}`) as Json;
  const made = new Function(`return ${jsLiteral(value)}`)() as object;
  assert.equal(JSON.stringify(made), JSON.stringify(value));
  assert.equal(Object.getPrototypeOf(made), Object.prototype);
});

test("Python sends the event as it is", (context) => {
  if (spawnSync("python3", ["--version"]).status !== 0) return context.skip("there is no Python here");
  const all = NASTY.map(publish);
  const fake = [
    "import json, os, urllib.request",
    "class Answer:",
    "    def __enter__(self): return self",
    "    def __exit__(self, *of): pass",
    "    def read(self, *of): return b'{}'",
    "def urlopen(request, timeout):",
    "    headers = [request.get_header(name) for name in ('Authorization', 'Idempotency-key')]",
    "    sent.append([request.full_url, request.data.decode(), *headers])",
    "    return Answer()",
    "urllib.request.urlopen = urlopen",
    "os.environ['TOKEN'] = 'secret'",
    "sent = []",
    "scripts = json.loads(input())",
    "for script in scripts: exec(script, {'print': lambda *of: None})",
    "print(json.dumps(sent))",
  ].join("\n");
  const scripts = JSON.stringify(all.map((one) => publishAs("python", one)));
  const run = spawnSync("python3", ["-c", fake], {
    input: `${scripts}\n`,
    env: { ...process.env, PYTHONIOENCODING: "utf-8" },
  });
  assert.equal(run.stderr.toString(), "");
  const sent = JSON.parse(run.stdout.toString()) as [string, string, string, string][];
  all.forEach((one, index) => {
    const [url, body, token, key] = sent[index] ?? [];
    assert.equal(url, `https://events.example.com/api/maps/${encodeURIComponent(one.map)}/events`);
    assert.deepEqual(JSON.parse(body ?? ""), bodyOf(one));
    assert.deepEqual([token, key], ["Bearer secret", "k'$(id)"]);
  });
  return undefined;
});

test("every character of a script is seen", () => {
  const one = publish(NASTY.join(""));
  for (const language of ["curl", "javascript", "python"] as const) {
    assert.doesNotMatch(publishAs(language, one), /[\u007f-\u00a0\u200b-\u200f\u2028-\u202e\ufeff]/);
  }
  assert.equal(jsonText("\u202e é"), `"\\u202e é"`);
  assert.deepEqual(JSON.parse(jsonText(NASTY)), NASTY);
  assert.equal(pythonLiteral([true, null, {}], 2), "[\n    True,\n    None,\n    {},\n  ]");
});

test("scripts have no token, and no key if there is none", () => {
  const one = { ...publish("x"), key: "", subject: "" };
  for (const language of ["curl", "javascript", "python"] as const) {
    const script = publishAs(language, one);
    assert.match(script, /TOKEN/);
    assert.doesNotMatch(script, /Idempotency/);
    assert.doesNotMatch(script, /subject/);
  }
});

test("a tail as a command", () => {
  const tail = {
    origin: "https://a.example",
    map: "demo",
    subjects: "*",
    events: "",
    filter: "payload.name == 'it''s' && $x",
  };
  assert.deepEqual(given(tailAsCommand(tail)), ["tail", "demo", "--subjects", "*", "--filter", tail.filter]);
  const [, , address] = given(tailAsCurl(tail));
  const url = new URL(address ?? "");
  assert.equal(url.pathname, "/api/maps/demo/events/stream");
  assert.deepEqual(
    [...url.searchParams],
    [
      ["subjects", "*"],
      ["filter", tail.filter],
    ],
  );
  assert.deepEqual(given(tailAsCommand({ ...tail, filter: "-payload.n > 1" })).at(-1), "--filter=-payload.n > 1");
  assert.deepEqual(given(tailAsCommand({ ...tail, subjects: "", filter: "" })), ["tail", "demo"]);
});

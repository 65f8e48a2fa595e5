// Checks a text as JSON, and says where the first fault is. Browsers say it in words that differ, or not at all.

import type { Json } from "./model";

/** What is wrong with a text. */
export interface JsonFault {
  message: string;
  /** The character at which it is wrong, counted in the string. */
  at: number;
  /** Line and column, from 1. */
  line: number;
  column: number;
}

/** A text that was checked. */
export type Checked = { value: Json; fault: null } | { value: null; fault: JsonFault };

/** Deepest nesting that the server takes. */
const DEEPEST = 64;

class Fault extends Error {
  constructor(
    message: string,
    readonly at: number,
  ) {
    super(message);
  }
}

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const WORD = /[A-Za-z_][A-Za-z0-9_]*/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/** Walks over a text as the grammar of JSON has it. */
class Walk {
  at = 0;

  constructor(readonly text: string) {}

  take(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? null;
    this.at += found?.length ?? 0;
    return found;
  }

  fail(message: string, at = this.at): never {
    throw new Fault(at >= this.text.length ? "the JSON ends too early" : message, at);
  }

  whole(): void {
    this.value(0);
    this.take(SPACE);
    if (this.at < this.text.length) throw new Fault("nothing can stand behind the value", this.at);
  }

  value(depth: number): void {
    this.take(SPACE);
    if (depth > DEEPEST) this.fail(`at most ${DEEPEST} levels are allowed`);
    const next = this.text[this.at];
    if (next === "{") return this.members("}", depth);
    if (next === "[") return this.members("]", depth);
    if (next === '"') return this.string();
    if (next !== undefined && /[-\d]/.test(next)) return this.number();
    return this.word();
  }

  members(close: "}" | "]", depth: number): void {
    this.at += 1;
    this.take(SPACE);
    if (this.text[this.at] === close) {
      this.at += 1;
      return;
    }
    for (;;) {
      if (close === "}") this.name();
      this.value(depth + 1);
      this.take(SPACE);
      const next = this.text[this.at];
      if (next !== close && next !== ",") this.fail(`a comma or ${close} is expected`);
      this.at += 1;
      if (next === close) return;
    }
  }

  name(): void {
    this.take(SPACE);
    if (this.text[this.at] !== '"') this.fail("the name of a member is expected, in double quotes");
    this.string();
    this.take(SPACE);
    if (this.text[this.at] !== ":") this.fail("a colon is expected behind the name");
    this.at += 1;
  }

  string(): void {
    this.at += 1;
    for (;;) {
      this.take(PLAIN);
      const next = this.text[this.at];
      if (next === '"') {
        this.at += 1;
        return;
      }
      if (next === "\\") {
        if (this.take(ESCAPE) === null) this.fail("this is no escape of JSON");
      } else {
        this.fail("a text ends on its line; write a line break as \\n");
      }
    }
  }

  number(): void {
    const from = this.at;
    const text = this.take(NUMBER);
    if (text === null || /^[\d.]/.test(this.text.slice(this.at, this.at + 1)))
      this.fail("this is no number of JSON", from);
    const value = Number(text);
    if (!Number.isFinite(value)) this.fail("the number is too large", from);
    if (Number.isInteger(value) && !Number.isSafeInteger(value) && !/[.eE]/.test(text)) {
      this.fail("integers beyond 2^53 are refused, because JavaScript would change them; write a text", from);
    }
  }

  word(): void {
    const from = this.at;
    const word = this.take(WORD);
    if (word === "true" || word === "false" || word === "null") return;
    if (word !== null) this.fail(`${word} is no value of JSON; texts stand in double quotes`, from);
    this.fail(this.text[from] === "'" ? "texts stand in double quotes" : "a value is expected", from);
  }
}

/** Checks a text. It is not checked whether a name stands twice: the last one counts. */
export function checkJson(text: string): Checked {
  try {
    new Walk(text).whole();
    return { value: JSON.parse(text) as Json, fault: null };
  } catch (error) {
    const at = error instanceof Fault ? error.at : 0;
    const before = text.slice(0, at).split("\n");
    const column = Array.from(before.at(-1) ?? "").length + 1;
    const message = error instanceof Error ? error.message : "this is not JSON";
    return { value: null, fault: { message, at, line: before.length, column } };
  }
}

/** The fault in words, with its place. */
export function faultText(fault: JsonFault): string {
  return `line ${fault.line}, column ${fault.column}: ${fault.message}`;
}

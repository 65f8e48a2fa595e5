// Values as they stand in a shell, in JavaScript and in Python. What goes in may be anything.

import type { Json } from "../json-tree/model";

/**
 * Characters that an editor or a terminal does not show, or shows in another order than they stand: the text
 * that people see must be the text that runs.
 */
const UNSEEN = new RegExp(
  "[\\u007f-\\u00a0\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202f" +
    "\\u205f-\\u206f\\u2800\\u3000\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\uffff]",
  "g",
);

/** A value as JSON in which every character is seen. With `indent` it has several lines. */
export function jsonText(value: unknown, indent?: number): string {
  // These characters stand in texts only, where JSON allows an escape.
  return JSON.stringify(value, null, indent).replace(UNSEEN, (char) => {
    return `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** A text as one word of a POSIX shell. Nothing in it is expanded. */
export function shellWord(text: string): string {
  if (/^[A-Za-z0-9_./:@%+=,-]+$/.test(text) && !text.startsWith("-")) return text;
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** A text as a literal of JavaScript and of Python, which both read the escapes of JSON. */
export function textLiteral(text: string): string {
  return jsonText(text);
}

/** How a language writes these three. */
interface Words {
  null: string;
  true: string;
  false: string;
}

const NAMES: Words = { null: "null", true: "true", false: "false" };
const NAMES_OF_PYTHON: Words = { null: "None", true: "True", false: "False" };

/** A value as a literal of JavaScript, indented by so many spaces after its first line. */
export function jsLiteral(value: Json, indent = 0): string {
  // A member with this name would set the prototype, if it did not stand in brackets.
  return literal(value, indent, NAMES, (name) => (name === "__proto__" ? `["__proto__"]` : jsonText(name)));
}

/** A value as a literal of Python. */
export function pythonLiteral(value: Json, indent = 0): string {
  return literal(value, indent, NAMES_OF_PYTHON, (name) => jsonText(name));
}

function literal(value: Json, indent: number, words: Words, member: (name: string) => string): string {
  if (value === null) return words.null;
  if (typeof value === "boolean") return value ? words.true : words.false;
  if (typeof value !== "object") return jsonText(value);
  const inside = indent + 2;
  const of = (item: Json): string => literal(item, inside, words, member);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  const parts = Array.isArray(value)
    ? value.map(of)
    : Object.entries(value).map(([name, item]) => `${member(name)}: ${of(item)}`);
  if (parts.length === 0) return `${open}${close}`;
  const lines = parts.map((part) => `${" ".repeat(inside)}${part},\n`);
  return `${open}\n${lines.join("")}${" ".repeat(indent)}${close}`;
}

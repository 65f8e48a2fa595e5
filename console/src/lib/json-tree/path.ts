// How an expression of a filter names a value of a payload.

import { kindOf, partsOf, valueAt, type Json } from "./model";

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
/** Words of CEL that can't stand behind a dot, or that its parsers keep for themselves. */
const KEPT = new Set([
  "true",
  "false",
  "null",
  "in",
  "as",
  "break",
  "const",
  "continue",
  "else",
  "for",
  "function",
  "if",
  "import",
  "let",
  "loop",
  "package",
  "namespace",
  "return",
  "var",
  "void",
  "while",
]);
/** Longest text that is worth a comparison. */
const LONGEST = 200;

/** A text as a literal of CEL. Every character that a parser could read in another way is escaped. */
export function celText(text: string): string {
  const escaped = Array.from(text, (char) => {
    const code = char.codePointAt(0) ?? 0;
    if (char === '"' || char === "\\") return `\\${char}`;
    if (char === "\n") return "\\n";
    if (char === "\r") return "\\r";
    if (char === "\t") return "\\t";
    const plain = code >= 0x20 && (code < 0x7f || code > 0x9f) && code !== 0x2028 && code !== 0x2029;
    return plain ? char : `\\u${code.toString(16).padStart(4, "0")}`;
  });
  return `"${escaped.join("")}"`;
}

/** A member behind an expression: `.name`, or `["a name"]` where a dot can't stand before it. */
export function celMember(name: string): string {
  return NAME.test(name) && !KEPT.has(name) ? `.${name}` : `[${celText(name)}]`;
}

/** The value at a pointer as an expression, such as `payload.victim.ship`. */
export function celPath(payload: Json, pointer: string): string {
  let at: Json | undefined = payload;
  let path = "payload";
  let walked = "";
  for (const part of partsOf(pointer)) {
    path += Array.isArray(at) ? `[${part}]` : celMember(part);
    walked += `/${part.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    at = valueAt(payload, walked);
  }
  return path;
}

/** The condition that an event has this value at this place; `null` for lists, objects and long texts. */
export function celCondition(payload: Json, pointer: string): string | null {
  const value = valueAt(payload, pointer);
  if (value === undefined) return null;
  const path = celPath(payload, pointer);
  switch (kindOf(value)) {
    case "string":
      return (value as string).length > LONGEST ? null : `${path} == ${celText(value as string)}`;
    case "number":
    case "boolean":
    case "null":
      return `${path} == ${String(value)}`;
    default:
      return null;
  }
}

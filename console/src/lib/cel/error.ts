// Where the server's error about an expression points to.

import { LONGEST } from "./words";

/** An error of an expression, with the characters of the string that it is about. */
export interface Fault {
  message: string;
  /** The first character, and the one behind the last; `null` if the server did not say where. */
  at: { from: number; to: number } | null;
}

const POSITION = /^(?:.*?:\s)??at (?:(\d+):)?(\d+): (.*)$/s;

/**
 * The fault in `text` that the server's message tells of. The server counts lines and characters from 1, and a
 * character beyond the basic plane once, where a string of JavaScript has two units.
 */
export function faultOf(message: string, text: string): Fault {
  const found = POSITION.exec(message);
  if (found === null) return { message, at: endOf(message, text) };
  const [, line, column, words] = found;
  const from = offsetOf(text, Number(line ?? 1), Number(column));
  const word = /^(?:[A-Za-z_][A-Za-z0-9_]*|\d+|.)/su.exec(text.slice(from))?.[0] ?? "";
  return { message: words ?? message, at: { from, to: from + word.length } };
}

/** The server does not always say where an expression ends too early: it is the end. */
function endOf(message: string, text: string): Fault["at"] {
  return message.includes("ends too early") ? { from: text.length, to: text.length } : null;
}

function offsetOf(text: string, line: number, column: number): number {
  let start = 0;
  for (let at = 1; at < line; at += 1) {
    const end = text.indexOf("\n", start);
    if (end < 0) return text.length;
    start = end + 1;
  }
  const characters = Array.from(text.slice(start)).slice(0, Math.max(column - 1, 0));
  return Math.min(text.length, start + characters.join("").length);
}

/** What is wrong with an expression before it is sent: only its length. */
export function tooLong(text: string): string | null {
  const bytes = new TextEncoder().encode(text).length;
  return bytes > LONGEST ? `an expression may have at most ${LONGEST} bytes; this one has ${bytes}` : null;
}

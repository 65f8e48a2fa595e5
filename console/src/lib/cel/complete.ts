// What could stand at the caret of an expression.

import { celMember, celText } from "../json-tree/path";
import type { Fields, Place } from "./fields";
import { tokensOf, textOf, type Token } from "./tokens";
import { FIELDS, FUNCTIONS, LITERALS, LOOPS, METHODS, type Word } from "./words";

/** One proposal. */
export interface Option {
  /** What the list shows. */
  label: string;
  /** What is written in place of characters `from` to `to`. */
  insert: string;
  /** Where the caret goes, counted from the beginning of `insert`. */
  caret: number;
  /** One line for people. */
  means: string;
  kind: "field" | "member" | "function" | "method" | "word" | "value";
}

/** The proposals for a place in the text. */
export interface Completion {
  from: number;
  to: number;
  options: Option[];
}

/** Most proposals at a time. */
const MOST = 40;

/** The proposals at the caret; `null` where nothing is to be proposed. */
export function complete(text: string, caret: number, fields: Fields): Completion | null {
  const tokens = tokensOf(text.slice(0, caret));
  const last = tokens.at(-1);
  if (last?.kind === "comment") return null;
  if (last?.kind === "open") return ofText(tokens, last, text, caret, fields);
  if (last?.kind === "number" && last.to === caret) return null;
  const word = last?.kind === "name" && last.to === caret ? last : null;
  const before = word === null ? tokens : tokens.slice(0, -1);
  const range = { from: word?.from ?? caret, to: caret + (/^[A-Za-z0-9_]*/.exec(text.slice(caret))?.[0].length ?? 0) };
  const typed = word?.text ?? "";
  const sign = before.at(-1);
  if (sign?.text === ".") {
    const dot = sign.from;
    return chosen(typed, range, behindDot(placeBefore(before.slice(0, -1), fields), text, range.to), dot);
  }
  // Two operands can't stand side by side: behind one there can only be an operator.
  if (sign !== undefined && endsOperand(sign)) return chosen(typed, range, [ofWord(wordOf("in"), "word")]);
  return chosen(typed, range, beginnings(before, text, range.to));
}

function wordOf(name: string): Word {
  return LITERALS.find((word) => word.name === name) ?? { name, takes: "", means: "" };
}

function endsOperand(token: Token): boolean {
  if (token.kind === "sign") return token.text === ")" || token.text === "]";
  return token.kind !== "name" || token.text !== "in";
}

/** Those of the proposals that fit what is typed: first those that begin with it, then those that have it. */
function chosen(typed: string, range: { from: number; to: number }, all: Option[], dot?: number): Completion | null {
  const sought = typed.toLowerCase();
  const at = (option: Option): number => option.label.toLowerCase().indexOf(sought);
  const begin = all.filter((option) => at(option) === 0);
  const inside = sought === "" ? [] : all.filter((option) => at(option) > 0);
  const options = [...begin, ...inside].slice(0, MOST);
  if (options.length === 0 || (options.length === 1 && options[0]?.insert === typed)) return null;
  // A name that a dot can't stand before takes the place of the dot, too.
  const bracketed = dot !== undefined && options.some((option) => option.insert.startsWith("["));
  if (!bracketed) return { ...range, options };
  const withDot = options.map((option) =>
    option.insert.startsWith("[") ? option : { ...option, insert: `.${option.insert}`, caret: option.caret + 1 },
  );
  return { from: dot, to: range.to, options: withDot };
}

/** A word with what it takes, and the caret inside its brackets. */
function ofWord(word: Word, kind: Option["kind"], called = false): Option {
  const takes = called ? "" : word.takes;
  const insert = word.name + takes;
  const quotes = takes.indexOf('""');
  const empty = takes.indexOf(", )");
  const inside = quotes >= 0 ? quotes + 1 : empty >= 0 ? empty + 2 : takes === " []" ? 2 : takes === "()" ? 2 : 1;
  const caret = word.name.length + (takes === "" ? 0 : inside);
  return { label: word.name, insert, caret, means: word.means, kind };
}

/** What may begin an operand: elements of loops, fields, functions, values. */
function beginnings(before: readonly Token[], text: string, to: number): Option[] {
  const called = text[to] === "(";
  const elements = loopsAround(before).map((loop): Option => {
    return {
      label: loop.element,
      insert: loop.element,
      caret: loop.element.length,
      means: "the element",
      kind: "field",
    };
  });
  const literals = LITERALS.filter((word) => word.name !== "in");
  return [
    ...elements.reverse(),
    ...FIELDS.map((word) => ofWord(word, "field")),
    ...FUNCTIONS.map((word) => ofCall(word, called)),
    ...literals.map((word) => ofWord(word, "word")),
  ];
}

/** A function. Its arguments stand in the line for people; only the brackets are written. */
function ofCall(word: Word, called: boolean): Option {
  const insert = called ? word.name : `${word.name}()`;
  const caret = called ? insert.length : insert.length - 1;
  return { label: word.name, insert, caret, means: `${word.takes}: ${word.means}`, kind: "function" };
}

/** What may stand behind a dot: the members that were seen there, and the methods. */
function behindDot(place: Place | null, text: string, to: number): Option[] {
  const called = text[to] === "(";
  const members = [...(place?.members ?? [])].map(([name, member]): Option => {
    const written = celMember(name);
    const insert = written.startsWith(".") ? written.slice(1) : written;
    return { label: name, insert, caret: insert.length, means: meansOf(member), kind: "member" };
  });
  members.sort((a, b) => (a.label < b.label ? -1 : 1));
  return [...members, ...METHODS.filter((word) => suits(word, place)).map((word) => ofWord(word, "method", called))];
}

/** The kinds of values that were seen at a place, with an example. */
function meansOf(place: Place): string {
  const kinds = [...place.kinds].join(" or ");
  const [example] = place.texts;
  return example === undefined ? kinds : `${kinds}, as in ${JSON.stringify(example)}`;
}

/** Whether a method makes sense at a place. Where nothing was seen, all do. */
function suits(word: Word, place: Place | null): boolean {
  if (place === null || place.kinds.size === 0) return true;
  const { kinds } = place;
  const hasElements = kinds.has("array") || kinds.has("object");
  if (LOOPS.has(word.name)) return hasElements;
  return kinds.has("string") || (word.name === "size" && hasElements);
}

/** A loop around the caret: the name of its element, and what it runs over. */
interface LoopAround {
  element: string;
  over: readonly Token[];
}

/** The loops whose second argument the caret is in, from the outermost. */
function loopsAround(before: readonly Token[]): LoopAround[] {
  const open: number[] = [];
  before.forEach((token, index) => {
    if (token.kind !== "sign") return;
    if ("([{".includes(token.text)) open.push(index);
    if (")]}".includes(token.text)) open.pop();
  });
  return open.flatMap((index): LoopAround[] => {
    const [dot, method, bracket, element, comma] = before.slice(Math.max(index - 2, 0), index + 3);
    const isLoop = dot?.text === "." && method !== undefined && LOOPS.has(method.text) && bracket?.text === "(";
    if (!isLoop || element?.kind !== "name" || comma?.text !== ",") return [];
    return [{ element: element.text, over: before.slice(0, index - 2) }];
  });
}

/** The place that the operand at the end of the tokens names; `null` if that is not known. */
function placeBefore(before: readonly Token[], fields: Fields): Place | null {
  const chain = chainAtEnd(before);
  const [first, ...rest] = chain;
  if (first?.kind !== "name") return null;
  let place = firstPlace(first, before.slice(0, before.length - chain.length), fields);
  for (let at = 0; at < rest.length && place !== null;) {
    const [sign, inside] = [rest[at], rest[at + 1]];
    if (sign?.text === "." && inside?.kind === "name") {
      place = place.members.get(inside.text) ?? null;
      at += 2;
    } else if (sign?.text === "[" && inside !== undefined && rest[at + 2]?.text === "]") {
      const name = textOf(inside);
      place = name === null ? place.elements : (place.members.get(name) ?? null);
      at += 3;
    } else {
      return null;
    }
  }
  return place;
}

function firstPlace(first: Token, before: readonly Token[], fields: Fields): Place | null {
  const loop = loopsAround(before).findLast((around) => around.element === first.text);
  if (loop !== undefined) return placeBefore(loop.over, fields)?.elements ?? null;
  return first.text === "payload" ? fields.payload : null;
}

/** The tokens at the end that are one chain of a name, members and indices. */
function chainAtEnd(before: readonly Token[]): Token[] {
  let from = before.length;
  for (;;) {
    const last = before[from - 1];
    if (last?.text === "]" && before[from - 3]?.text === "[") {
      from -= 3;
    } else if (last?.kind === "name") {
      from -= 1;
      if (before[from - 1]?.text !== ".") return before.slice(from);
      from -= 1;
    } else {
      return [];
    }
  }
}

/** Proposals inside a text that has only begun: what was seen at the place that it is compared with. */
function ofText(tokens: readonly Token[], open: Token, text: string, caret: number, fields: Fields): Completion | null {
  const quote = open.text[0];
  if (quote !== '"' && quote !== "'") return null;
  const typed = open.text.slice(1);
  const values = valuesFor(tokens.slice(0, -1), fields);
  const rest = text.slice(caret);
  const to = caret + (rest.startsWith(quote) ? 1 : 0);
  const options = values
    .filter((value) => value.toLowerCase().includes(typed.toLowerCase()))
    .map((value): Option => {
      const insert = celText(value);
      return {
        label: value === "" ? '""' : value,
        insert,
        caret: insert.length,
        means: "was seen here",
        kind: "value",
      };
    })
    .slice(0, MOST);
  return options.length === 0 ? null : { from: open.from, to, options };
}

/** The texts that were seen at the operand before a comparison, before a method, or before `in [`. */
function valuesFor(before: readonly Token[], fields: Fields): string[] {
  const last = before.at(-1);
  let operand: readonly Token[] | null = null;
  if (last?.text === "==" || last?.text === "!=") operand = before.slice(0, -1);
  if (last?.text === "(" && before.at(-3)?.text === ".") operand = before.slice(0, -3);
  if (last?.text === "[" || last?.text === ",") {
    const list = before.findLastIndex((token) => token.text === "[");
    if (list > 0 && before[list - 1]?.text === "in") operand = before.slice(0, list - 1);
  }
  if (operand === null) return [];
  const chain = chainAtEnd(operand);
  if (chain.length === 1 && chain[0]?.text === "type") return [...fields.types].sort();
  if (chain.length === 1 && chain[0]?.text === "subject") return [...fields.subjects].sort();
  return [...(placeBefore(operand, fields)?.texts ?? [])].sort();
}

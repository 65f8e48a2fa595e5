// The rows of a JSON value as a tree: which rows show, and where a key of the keyboard leads. It knows no page.
import { counted } from "../words";

/** A value of JSON. */
export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

/** What a row shows. `more` stands for the members of a container that are not shown yet. */
export type Kind = "object" | "array" | "string" | "number" | "boolean" | "null" | "more";

/** One row of the tree. */
export interface Row {
  /** The place of the value, as a JSON pointer (RFC 6901); of a `more` row, its container's and `/…`. */
  pointer: string;
  /** The pointer of the container; `null` for the whole value. */
  parent: string | null;
  /** 0 for the whole value. */
  depth: number;
  /** The name of the member or the index of the element; `null` for the whole value. */
  name: string | null;
  kind: Kind;
  /** The value in short, on one line. */
  text: string;
  /** Members or elements of a container; 0 for everything else. */
  size: number;
  /** Whether a container shows its members; `null` for everything that has none. */
  open: boolean | null;
  /** The place among the rows with the same parent, from 1. */
  position: number;
  /** How many rows have the same parent. */
  siblings: number;
}

/** What a tree shows: the pointers of open containers, and how many members of a container show. */
export interface Shown {
  open: ReadonlySet<string>;
  /** By pointer; without an entry the first [`PAGE`] members show. */
  counts: ReadonlyMap<string, number>;
}

/** Members of a container that show at first, and that each press of `more` adds. */
export const PAGE = 100;
/** Characters of a text that a row shows. The whole text shows when the row is asked for it. */
export const SHORT = 300;
/** Containers with so many members or fewer are open at first, as long as the tree stays short. */
const SMALL = 20;
/** Rows of a tree that are open at first. */
const FIRST_ROWS = 60;

/** The kind of a value. */
export function kindOf(value: Json): Exclude<Kind, "more"> {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  const type = typeof value;
  return type === "object" ? "object" : (type as "string" | "number" | "boolean");
}

/** A part of a JSON pointer, escaped. */
export function escapePart(part: string): string {
  return part.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** The parts of a JSON pointer. */
export function partsOf(pointer: string): string[] {
  if (pointer === "") return [];
  return pointer
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The members of a container with their names; nothing for a scalar. */
export function membersOf(value: Json): [string, Json][] {
  if (Array.isArray(value)) return value.map((item, index) => [String(index), item]);
  // Names such as `__proto__` are members like others: `JSON.parse` makes them own properties.
  return value !== null && typeof value === "object" ? Object.entries(value) : [];
}

/** The value at a pointer; `undefined` where there is none. */
export function valueAt(value: Json, pointer: string): Json | undefined {
  let at: Json | undefined = value;
  for (const part of partsOf(pointer)) {
    if (at === null || typeof at !== "object" || !Object.hasOwn(at, part)) return undefined;
    at = (at as { [name: string]: Json })[part];
  }
  return at;
}

function cut(text: string): string {
  const chars = Array.from(text.slice(0, 2 * SHORT + 2));
  return chars.length > SHORT ? `${chars.slice(0, SHORT).join("")}…` : text;
}

/** The value in short, on one line. */
export function summary(value: Json): string {
  switch (kindOf(value)) {
    case "object":
      return counted(membersOf(value).length, "member");
    case "array":
      return counted((value as Json[]).length, "element");
    case "string":
      return JSON.stringify(cut(value as string));
    default:
      return String(value);
  }
}

/** The rows that show, from the top. */
export function rowsOf(value: Json, shown: Shown): Row[] {
  const rows: Row[] = [];
  const add = (item: Json, place: Omit<Row, "kind" | "text" | "size" | "open">): void => {
    const size = item !== null && typeof item === "object" ? Object.keys(item).length : 0;
    const open = size > 0 ? shown.open.has(place.pointer) : null;
    rows.push({ ...place, kind: kindOf(item), text: summary(item), size, open });
    if (open !== true) return;
    const count = Math.min(size, shown.counts.get(place.pointer) ?? PAGE);
    const siblings = count + (count < size ? 1 : 0);
    const inside = { parent: place.pointer, depth: place.depth + 1, siblings };
    membersOf(item)
      .slice(0, count)
      .forEach(([name, member], index) => {
        const pointer = `${place.pointer}/${escapePart(name)}`;
        add(member, { ...inside, pointer, name, position: index + 1 });
      });
    if (count < size) {
      const text = `${size - count} more`;
      const pointer = moreOf(place.pointer);
      rows.push({ ...inside, pointer, name: null, position: siblings, kind: "more", text, size: 0, open: null });
    }
  };
  add(value, { pointer: "", parent: null, depth: 0, name: null, position: 1, siblings: 1 });
  return rows;
}

// No pointer of a member ends like this: a `~` in a name is always followed by 0 or 1.
function moreOf(pointer: string): string {
  return `${pointer}/~more`;
}

/** The containers that are open when a value is first shown: from the outside, as long as it stays short. */
export function firstOpen(value: Json): Set<string> {
  const open = new Set<string>();
  let rows = 1;
  let level: [string, Json][] = [["", value]];
  while (level.length > 0) {
    const next: [string, Json][] = [];
    for (const [pointer, item] of level) {
      const members = membersOf(item);
      const fits = pointer === "" || (members.length <= SMALL && rows + members.length <= FIRST_ROWS);
      if (members.length === 0 || !fits) continue;
      open.add(pointer);
      rows += Math.min(members.length, PAGE);
      if (members.length <= PAGE) {
        next.push(...members.map(([name, member]): [string, Json] => [`${pointer}/${escapePart(name)}`, member]));
      }
    }
    level = next;
  }
  return open;
}

/** What a key does: the row that gets the focus, and what becomes of a container. */
export interface Move {
  focus: string;
  /** A container to open or to close. */
  toggle?: { pointer: string; open: boolean };
  /** Containers to open together. */
  openAll?: string[];
  /** A container of which more members are to show. */
  more?: string;
}

/**
 * Where a key leads from a row, by the tree pattern of WAI-ARIA: arrows, Home, End, Enter, Space, `*` and
 * first letters. `null` if the key means nothing here.
 */
export function moveOf(rows: readonly Row[], focus: string, key: string): Move | null {
  const index = Math.max(
    0,
    rows.findIndex((row) => row.pointer === focus),
  );
  const row = rows[index];
  if (row === undefined) return null;
  const to = (at: number): Move => ({ focus: rows[Math.min(Math.max(at, 0), rows.length - 1)]?.pointer ?? "" });
  switch (key) {
    case "ArrowDown":
      return to(index + 1);
    case "ArrowUp":
      return to(index - 1);
    case "PageDown":
      return to(index + 10);
    case "PageUp":
      return to(index - 10);
    case "Home":
      return to(0);
    case "End":
      return to(rows.length - 1);
    case "ArrowRight":
      if (row.open === false) return { focus: row.pointer, toggle: { pointer: row.pointer, open: true } };
      return row.open === true ? to(index + 1) : null;
    case "ArrowLeft":
      if (row.open === true) return { focus: row.pointer, toggle: { pointer: row.pointer, open: false } };
      return row.parent === null ? null : { focus: row.parent };
    case "Enter":
    case " ":
      return pressed(row);
    case "*":
      return besides(rows, row);
    default:
      return byLetter(rows, index, key);
  }
}

function pressed(row: Row): Move | null {
  if (row.kind === "more" && row.parent !== null) return { focus: row.pointer, more: row.parent };
  if (row.open === null) return null;
  return { focus: row.pointer, toggle: { pointer: row.pointer, open: !row.open } };
}

/** Opens the row and everything beside it. */
function besides(rows: readonly Row[], row: Row): Move {
  const closed = rows.filter((other) => other.parent === row.parent && other.open === false);
  return { focus: row.pointer, openAll: closed.map((other) => other.pointer) };
}

function byLetter(rows: readonly Row[], index: number, key: string): Move | null {
  if (Array.from(key).length !== 1) return null;
  const letter = key.toLocaleLowerCase();
  const behind = [...rows.slice(index + 1), ...rows.slice(0, index)];
  const found = behind.find((row) => row.name?.toLocaleLowerCase().startsWith(letter));
  return found === undefined ? null : { focus: found.pointer };
}

// Forms that are described by lists of fields: texts as people type them, and the bodies that the API takes. The API
// alone checks settings; here is only found what cannot be written as JSON.

/** What stands in each field, by its path. "" is an empty field. */
export type Values = Readonly<Record<string, string>>;

/** A value of JSON. */
type Value = null | boolean | number | string | Value[] | { [name: string]: Value };

export interface Choice {
  value: string;
  label: string;
}

export interface Field {
  /** The path of the setting in the body, with dots, as faults of the API name it. */
  path: string;
  label: string;
  /**
   * `list`: texts with commas or on lines; `lines`: one text on each line; `headers`: `Name: value` on each line;
   * `code`: a text of several lines; `cel`: an expression; `json`: a JSON document; `secret`: sent if it is given,
   * and never shown.
   */
  kind: "text" | "number" | "boolean" | "choice" | "list" | "lines" | "headers" | "code" | "cel" | "json" | "secret";
  help?: string;
  unit?: string;
  placeholder?: string;
  choices?: readonly Choice[];
  min?: number;
  max?: number;
  /** What an emptied field of something that exists is sent as: null unless it is said here. */
  emptied?: Value;
  /** Whether the field can be set only when the thing is created. */
  onlyNew?: boolean;
  /** Whether the field means anything, given what stands in the others. */
  shown?: (values: Values) => boolean;
}

export interface Group {
  title: string;
  note?: string;
  fields: readonly Field[];
  /** Whether the group is open at first. */
  open?: boolean;
}

/** A fault by the path of its field. */
export type Faults = Readonly<Record<string, string>>;

/** Reads what the API shows of a thing into the fields. */
export function valuesOf(groups: readonly Group[], shown: Readonly<Record<string, unknown>>): Record<string, string> {
  const values: Record<string, string> = {};
  for (const field of fieldsOf(groups))
    values[field.path] = field.kind === "secret" ? "" : textOf(field, at(shown, field.path));
  return values;
}

/** The fields of all groups. */
export function fieldsOf(groups: readonly Group[]): Field[] {
  return groups.flatMap((group) => [...group.fields]);
}

/** Whether somebody has typed something that differs. */
export function isTouched(values: Values, before: Values): boolean {
  const paths = new Set([...Object.keys(values), ...Object.keys(before)]);
  return [...paths].some((path) => (values[path] ?? "") !== (before[path] ?? ""));
}

/** What to send, and what cannot be sent. */
export interface Sent {
  body: Record<string, Value>;
  faults: Record<string, string>;
}

/**
 * Makes the body of a request. Of something that exists (`before`: its values as they were) the body has what was
 * changed; an object of `whole` has all of its members then, because the API replaces it as a whole.
 */
export function bodyOf(
  groups: readonly Group[],
  values: Values,
  before: Values | null,
  whole: readonly string[] = [],
): Sent {
  const sent: Sent = { body: {}, faults: {} };
  const touched = new Set<string>();
  for (const field of fieldsOf(groups)) {
    if (field.onlyNew === true && before !== null) continue;
    if (field.shown?.(values) === false) continue;
    const text = values[field.path] ?? "";
    if (text === (before?.[field.path] ?? "")) continue;
    const root = rootOf(field.path);
    if (whole.includes(root)) touched.add(root);
    else put(sent, field, text);
  }
  for (const root of touched) {
    const members = fieldsOf(groups).filter(
      (field) => rootOf(field.path) === root && (values[field.path] ?? "") !== "",
    );
    if (members.length === 0) sent.body[root] = null;
    for (const field of members) put(sent, field, values[field.path] ?? "");
  }
  return sent;
}

/** The settings that a form shows, as for something new: what is not set is left out. */
export function settingsOf(groups: readonly Group[], values: Values): Sent {
  return bodyOf(groups, values, null);
}

/** Sorts the faults of an answer by field. A fault of no field that is known is in `rest`. */
export function faultsOf(
  groups: readonly Group[],
  faults: readonly { field: string; message: string }[],
): { of: Record<string, string>; rest: string[] } {
  const known = fieldsOf(groups).map((field) => field.path);
  const of: Record<string, string> = {};
  const rest: string[] = [];
  for (const fault of faults) {
    const path =
      known.find((one) => one === fault.field) ??
      known.find((one) => fault.field.startsWith(`${one}.`)) ??
      known.find((one) => one.startsWith(`${fault.field}.`));
    if (path === undefined) rest.push(fault.field === "" ? fault.message : `${fault.field}: ${fault.message}`);
    else of[path] = of[path] === undefined ? fault.message : `${of[path]}; ${fault.message}`;
  }
  return { of, rest };
}

/** Faults of the API in the words of the form: the label of the field, and what is wrong. */
export function faultLines(groups: readonly Group[], faults: readonly { field: string; message: string }[]): string[] {
  const { of, rest } = faultsOf(groups, faults);
  const labels = new Map(fieldsOf(groups).map((field) => [field.path, field.label]));
  return [...Object.entries(of).map(([path, message]) => `${labels.get(path) ?? path}: ${message}`), ...rest];
}

function rootOf(path: string): string {
  return path.split(".")[0] ?? path;
}

function at(object: unknown, path: string): unknown {
  let value = object;
  for (const name of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return undefined;
    value = (value as Record<string, unknown>)[name];
  }
  return value;
}

function textOf(field: Field, value: unknown): string {
  if (value === undefined || value === null) return "";
  switch (field.kind) {
    case "list":
      return Array.isArray(value) ? value.join(", ") : String(value);
    case "lines":
      return Array.isArray(value) ? value.join("\n") : String(value);
    case "headers":
      return Object.entries(value as object)
        .map(([name, text]) => `${name}: ${String(text)}`)
        .join("\n");
    case "json":
      return JSON.stringify(value, null, 2);
    default:
      return String(value);
  }
}

function put(sent: Sent, field: Field, text: string): void {
  const parsed = parse(field, text);
  if ("fault" in parsed) {
    sent.faults[field.path] = parsed.fault;
    return;
  }
  const names = field.path.split(".");
  const last = names.pop() ?? field.path;
  let object = sent.body;
  for (const name of names) {
    const inner = object[name];
    const next = typeof inner === "object" && inner !== null && !Array.isArray(inner) ? inner : {};
    object[name] = next;
    object = next;
  }
  object[last] = parsed.value;
}

function parse(field: Field, text: string): { value: Value } | { fault: string } {
  if (text.trim() === "") return { value: field.emptied ?? null };
  switch (field.kind) {
    case "number": {
      const number = Number(text.trim());
      return Number.isFinite(number) ? { value: number } : { fault: "must be a number" };
    }
    case "boolean":
      return { value: text === "true" };
    case "list":
      return {
        value: text
          .split(/[,\n]/)
          .map((part) => part.trim())
          .filter((part) => part !== ""),
      };
    case "lines":
      return {
        value: text
          .split("\n")
          .map((part) => part.trim())
          .filter((part) => part !== ""),
      };
    case "headers":
      return headers(text);
    case "json":
      return json(text);
    default:
      return { value: text };
  }
}

function headers(text: string): { value: Value } | { fault: string } {
  const found: [string, string][] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    const colon = line.indexOf(":");
    if (colon < 1) return { fault: `line ${index + 1}: a header is written as Name: value` };
    found.push([line.slice(0, colon).trim(), line.slice(colon + 1).trim()]);
  }
  return { value: Object.fromEntries(found) };
}

function json(text: string): { value: Value } | { fault: string } {
  try {
    return { value: JSON.parse(text) as Value };
  } catch (error) {
    return { fault: `is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}

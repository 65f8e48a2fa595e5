// Lines of the audit log: what they say, and which are asked for.

import { timeOf } from "../../lib/history/time";
import { counted } from "../../lib/words";

/** A line. One with `lost` alone says how many lines could not be written. */
export interface Line {
  time: string;
  node: { id: number; name: string | null };
  who?: "admin" | "token" | "portal" | "unknown";
  /** The token of the caller; of a portal link, that which made it. */
  token?: string;
  /** Its name at that moment. */
  token_name?: string;
  address?: string;
  method?: string;
  route?: string;
  path?: string;
  map?: string;
  /** Its slug at that moment, or its name. */
  map_name?: string;
  /** The name that what the request made or acted upon had at that moment. */
  name?: string;
  /** The settings that were changed. */
  changed?: Change[];
  status?: number | null;
  result?: string;
  lost?: number;
  /** What the request made or acted upon, by its kind. */
  [thing: string]: unknown;
}

/** A setting that was changed. A value is absent if it is not told, and null if there is none. */
export interface Change {
  field: string;
  from?: unknown;
  to?: unknown;
}

/** What was changed, a line each. */
export function changesOf(line: Line): string[] {
  return (line.changed ?? []).map(({ field, from, to }) => {
    if (from === undefined && to === undefined) return field;
    if (from === null && to !== null) return to === undefined ? `${field}: set` : `${field}: set to ${valueText(to)}`;
    if (to === null) return from === undefined ? `${field}: removed` : `${field}: removed, was ${valueText(from)}`;
    return `${field}: ${valueText(from)} → ${valueText(to)}`;
  });
}

function valueText(value: unknown): string {
  if (value === undefined) return "…";
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** The members that every line has; all others name what it is about. */
const KNOWN = new Set([
  "time",
  "node",
  "who",
  "token",
  "token_name",
  "address",
  "method",
  "route",
  "path",
  "map",
  "map_name",
  "name",
  "changed",
  "status",
  "result",
  "lost",
]);

/** What a line is about beside its map: names and ids. */
export function thingsOf(line: Line): [string, string][] {
  return Object.entries(line)
    .filter(([name, value]) => !KNOWN.has(name) && value !== null && value !== undefined)
    .map(([name, value]) => [name, typeof value === "object" ? JSON.stringify(value) : String(value)]);
}

/** What a line is about beside its map. */
export interface Subject {
  /** What kind of thing it is, as in `webhook`. */
  kind: string;
  id: string;
  /** What it was called; null if that is not known, or if the id says it. */
  name: string | null;
  /** The part of a map's pages that shows it. */
  page: string | null;
}

/** The pages that show one thing, or a list that has it, by the part of the route that names it. */
const PAGES: Record<string, string> = {
  webhooks: "webhooks",
  consumers: "consumers",
  ingest: "ingest",
  events: "events",
  subjects: "subjects",
  tokens: "tokens",
  issuers: "tokens",
  pusher: "tokens",
  connections: "connections",
};
/** Pages that show one thing at an address of its own. */
const OWN_PAGE = new Set(["webhooks", "consumers", "ingest", "events"]);

/** What the request made, or the last thing that its path names; null if that is the map, or nothing. */
export function subjectOf(line: Line): Subject | null {
  const route = (line.route ?? "").split("/");
  const path = (line.path ?? "").split("/");
  const made = thingsOf(line).find(([name]) => line[name] !== undefined && typeof line[name] !== "object");
  const last = route.findLastIndex((part) => isParameter(part) && !part.startsWith("{map"));
  const part = last > 0 ? (route[last - 1] ?? "") : (route.at(-1) ?? "");
  const page = PAGES[part] ?? null;
  const name = line.name ?? null;
  if (made !== undefined) {
    const kind = made[0] === "made" ? singular(part) : made[0].replaceAll("_", " ");
    return { kind, id: made[1], name, page };
  }
  // In a cluster's operations the path says what is done, and not with what.
  const id = path[last];
  if (last <= 0 || id === undefined || id === "" || route.includes("cluster")) return null;
  return { kind: singular(part), id: decoded(id), name, page };
}

/** The address of the page that shows it; null if there is none. */
export function pathOf(line: Line, subject: Subject): string[] | null {
  if (line.map === undefined || subject.page === null) return null;
  const own = OWN_PAGE.has(subject.page) ? [subject.id] : [];
  return ["maps", line.map, subject.page, ...own];
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const VERBS: Record<string, string> = {
  POST: "create",
  PUT: "replace",
  PATCH: "change",
  DELETE: "remove",
  GET: "read",
  HEAD: "read",
};
/** What is done with some things by DELETE, as the button says it. */
const ENDS: Record<string, string> = { connections: "close", tokens: "revoke", "admin-tokens": "revoke" };
/** What a part of an address names, where the name does not say it. */
const NOUNS: Record<string, string> = { ingest: "ingest source", pusher: "app" };

/** What was asked for in a few words: `create token`, `webhook: rotate secret`, `cluster: drain`. */
export function actionOf(line: Line): string {
  if (line.lost !== undefined) return `${counted(line.lost, "line")} lost`;
  const method = line.method ?? "";
  const parts = (line.route ?? line.path ?? "").split("/").filter((part) => part !== "" && part !== "api");
  const [last = "", before = "", owner = ""] = parts.toReversed();
  if (parts[0] === "cluster") {
    const operation = isParameter(last) ? ((line.path ?? "").split("/").at(-1) ?? "") : last;
    return `cluster: ${words(operation)}`;
  }
  const verb = VERBS[method] ?? method.toLowerCase();
  if (method === "POST" && !isParameter(last) && !isCollection(last) && before !== "") {
    // Behind a thing stands what is done with it, unless it has things of its own.
    return `${isParameter(before) ? singular(owner) : words(before)}: ${words(last)}`;
  }
  if (isParameter(last)) return `${(method === "DELETE" && ENDS[before]) || verb} ${singular(before)}`.trim();
  return `${verb} ${method === "POST" ? singular(last) : words(last)}`.trim();
}

function isParameter(part: string): boolean {
  return part.startsWith("{");
}

function isCollection(part: string): boolean {
  return part.endsWith("s") || NOUNS[part] !== undefined;
}

function words(part: string): string {
  return (NOUNS[part] ?? part).replaceAll("-", " ");
}

function singular(part: string): string {
  const text = words(part);
  return text.endsWith("s") && !text.endsWith("ss") ? text.slice(0, -1) : text;
}

export type Tone = "ok" | "warn" | "bad" | "off";

/** How a line ended, in words. */
export function resultOf(line: Line): { tone: Tone; text: string } {
  if (line.lost !== undefined) return { tone: "bad", text: "lost" };
  if (line.result === "done") return { tone: "ok", text: "done" };
  if (line.result === "unknown") return { tone: "warn", text: "not known" };
  return { tone: "bad", text: (line.result ?? "failed").replaceAll("_", " ") };
}

/** Which lines are asked for, as people write it. */
export interface Asked {
  map: string;
  who: string;
  action: string;
  result: string;
  since: string;
  until: string;
}

export const ASKED: readonly (keyof Asked)[] = ["map", "who", "action", "result", "since", "until"];

/** Reads them from the parameters of the page's address. */
export function askedOf(query: URLSearchParams): Asked {
  return Object.fromEntries(ASKED.map((name) => [name, query.get(name) ?? ""])) as unknown as Asked;
}

/** The faults of times that are none. */
export function faultsOf(asked: Asked, now: number): { since: string | null; until: string | null } {
  const fault = (text: string) => {
    return text.trim() === "" || timeOf(text, now) !== null ? null : "15m, 2h, 3d, or a date and time";
  };
  return { since: fault(asked.since), until: fault(asked.until) };
}

/** The name of a result, also of one in the words that a line shows. */
function resultNamed(text: string): string | null {
  const words = text.trim().toLowerCase();
  return words === "not known" ? "unknown" : words.replaceAll(" ", "_") || null;
}

/** The parameters of the API. A time such as `1h` counts from `now`. */
export function parametersOf(asked: Asked, now: number): Record<keyof Asked, string | null> {
  const time = (text: string) => {
    const ms = timeOf(text, now);
    return ms === null ? null : new Date(ms).toISOString();
  };
  const text = (value: string) => value.trim() || null;
  return {
    map: text(asked.map),
    who: text(asked.who),
    action: text(asked.action),
    result: resultNamed(asked.result),
    since: time(asked.since),
    until: time(asked.until),
  };
}

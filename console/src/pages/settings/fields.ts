// The settings of a map as texts in fields, and back.
import type { Schemas } from "../../api";
import { FAULTS, read, written, type Unit } from "../../lib/units";
import { shell } from "../../ui/Code";

type Map = Schemas["Map"];
type Limit = keyof Schemas["Limits"];

export const LIMITS: readonly { name: Limit; label: string; hint?: string; unit?: Unit }[] = [
  { name: "connections", label: "Connections", hint: "On all nodes together" },
  { name: "joins_per_minute", label: "Joins a minute", hint: "Sockets that a token joins, on each node" },
  { name: "requests_per_minute", label: "Requests a minute" },
  { name: "publishes_per_second", label: "Publishes a second" },
  { name: "publish_bytes_per_second", label: "Bytes published a second", unit: "bytes" },
  { name: "subjects", label: "Subjects", hint: "With stored events" },
  { name: "webhooks", label: "Webhooks", hint: "Consumers do not count" },
  { name: "idempotency_keys", label: "Idempotency keys", hint: "That are remembered at once" },
];

export const RETENTION: readonly { name: string; label: string; hint?: string; unit: Unit }[] = [
  { name: "events", label: "Events", unit: "" },
  { name: "age_seconds", label: "Age", unit: "seconds" },
  { name: "bytes", label: "Size", unit: "bytes" },
  {
    name: "webhook_backlog.bytes",
    label: "Size kept for webhooks alone",
    hint: "0: retention waits for no webhook",
    unit: "bytes",
  },
  { name: "webhook_backlog.age_seconds", label: "Age kept for webhooks alone", unit: "seconds" },
];

/** The units of the settings, by their paths. */
const UNITS: ReadonlyMap<string, Unit> = new Map([
  ...LIMITS.map(({ name, unit = "" }) => [`limits.${name}`, unit] as const),
  ...RETENTION.map(({ name, unit }) => [`retention.${name}`, unit] as const),
]);

const SLUG = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const SLUG_FAULT = "Lower-case letters, digits, - and _, at most 63; a letter or digit first.";

/** The options of `waypost map update`, by the path of the setting. */
const OPTIONS: Record<string, string> = {
  name: "name",
  slug: "slug",
  "retention.events": "retain-events",
  "retention.age_seconds": "retain-seconds",
  "retention.bytes": "retain-bytes",
  "retention.webhook_backlog.bytes": "backlog-bytes",
  "retention.webhook_backlog.age_seconds": "backlog-seconds",
};

/** What stands in the fields, by the path of the setting. */
export type Texts = Readonly<Record<string, string>>;
type Value = string | number | null;
export type Body = Record<string, unknown>;

export function texts(map: Map): Texts {
  return Object.fromEntries(Object.entries(values(map)).map(([path, value]) => [path, textOf(path, value)]));
}

function textOf(path: string, value: Value): string {
  const unit = UNITS.get(path);
  if (value === null) return "";
  return unit === undefined || typeof value === "string" ? String(value) : written(value, unit);
}

/** A number as it is sent, for a field that shows it otherwise; null where there is nothing to say. */
export function sentAs(path: string, text: string): string | null {
  const unit = UNITS.get(path) ?? "";
  const value = unit === "" || text.trim() === "" ? null : read(text, unit);
  return value === null ? null : `${value.toLocaleString("en")} ${unit === "bytes" ? "bytes" : "s"}`;
}

/** What is to be sent, and what is wrong with the fields. */
export function changes(map: Map, now: Texts): { body: Body; faults: Record<string, string> } {
  const [body, faults]: [Body, Record<string, string>] = [{}, {}];
  for (const [path, before] of Object.entries(values(map))) {
    const text = (now[path] ?? "").trim();
    if (text === textOf(path, before)) continue;
    const unit = UNITS.get(path);
    if (unit === undefined) {
      if (path === "slug" && text !== "" && !SLUG.test(text)) faults[path] = SLUG_FAULT;
      put(body, path, text === "" && path !== "name" ? null : text);
      continue;
    }
    const value = text === "" ? null : read(text, unit);
    if (text !== "" && value === null) faults[path] = `${FAULTS[unit]} Nothing is no limit.`;
    // Another way to write what is there already.
    else if (value !== before) put(body, path, value);
  }
  return { body, faults };
}

/** What a new map gets of the fields of a form: what is empty has the usual value of the cluster. */
export function forNew(now: Texts): { body: Body; faults: Record<string, string> } {
  const [body, faults]: [Body, Record<string, string>] = [{}, {}];
  for (const name of ["slug", "name"]) put(body, name, (now[name] ?? "").trim() || null);
  const slug = (now["slug"] ?? "").trim();
  if (slug !== "" && !SLUG.test(slug)) faults["slug"] = SLUG_FAULT;
  for (const [path, unit] of UNITS) {
    const text = (now[path] ?? "").trim();
    if (text === "") continue;
    const value = text.toLowerCase() === "none" ? null : read(text, unit);
    if (value === null && text.toLowerCase() !== "none") faults[path] = `${FAULTS[unit]} “none” is no limit.`;
    else put(body, path, value);
  }
  return { body, faults };
}

/** The command line that sends the same. */
export function commandLine(map: string, body: Body): string {
  if (!isLacking(body)) return ["waypost map update", shell(map), ...options(body)].join(" ");
  return request("PATCH", `/${encodeURIComponent(map)}`, body);
}

/** The command line that creates such a map. */
export function createLine(body: Body): string {
  const { slug, name, ...rest } = body;
  const given = { ...(slug === null ? {} : { slug }), ...(name === null ? {} : { name }), ...rest };
  if (!isLacking(given)) return ["waypost map create", ...options(given)].join(" ");
  return request("POST", "", given);
}

function options(body: Body): string[] {
  return flat(body).map(([path, value]) => {
    const limit = path.startsWith("limits.") ? path.slice("limits.".length).replaceAll("_", "-") : undefined;
    const text = value === null ? "none" : String(value);
    return `--${limit ?? OPTIONS[path] ?? path} ${text === "" ? "''" : shell(text)}`;
  });
}

/** Whether the options of the command lack something: they have no word for no bound but that of a limit. */
function isLacking(body: Body): boolean {
  return flat(body).some(([path, value]) => value === null && !path.startsWith("limits."));
}

function request(method: string, below: string, body: Body): string {
  return (
    `curl -sS -X ${method} "$WAYPOST_URL/api/maps${below}" -H "Authorization: Bearer $WAYPOST_ADMIN_TOKEN" \\\n` +
    `  -H "Content-Type: application/json" -d ${shell(JSON.stringify(body))}`
  );
}

function values(map: Map): Record<string, Value> {
  const all: Record<string, Value> = { name: map.name, slug: map.slug ?? null };
  for (const { name } of LIMITS) all[`limits.${name}`] = map.limits[name] ?? null;
  for (const { name } of RETENTION) {
    const value = name.split(".").reduce<unknown>((at, part) => (at as Body | undefined)?.[part], map.retention);
    all[`retention.${name}`] = typeof value === "number" ? value : null;
  }
  return all;
}

function put(body: Body, path: string, value: Value): void {
  const parts = path.split(".");
  const last = parts.pop() ?? path;
  const at = parts.reduce((inner, part) => (inner[part] ??= {}) as Body, body);
  at[last] = value;
}

function flat(body: Body, above = ""): [string, Value][] {
  return Object.entries(body).flatMap(([name, value]): [string, Value][] =>
    typeof value === "object" && value !== null
      ? flat(value as Body, `${above}${name}.`)
      : [[above + name, value as Value]],
  );
}

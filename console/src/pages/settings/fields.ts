// The settings of a map as texts in fields, and back.
import type { Schemas } from "../../api";
import { shell } from "../../ui";

type Map = Schemas["Map"];
type Limit = keyof Schemas["Limits"];

export const LIMITS: readonly { name: Limit; label: string; hint?: string }[] = [
  { name: "connections", label: "Connections", hint: "On all nodes together" },
  { name: "joins_per_minute", label: "Joins a minute", hint: "Sockets that a token joins, on each node" },
  { name: "requests_per_minute", label: "Requests a minute" },
  { name: "publishes_per_second", label: "Publishes a second" },
  { name: "publish_bytes_per_second", label: "Bytes published a second" },
  { name: "subjects", label: "Subjects", hint: "With stored events" },
  { name: "webhooks", label: "Webhooks", hint: "Consumers do not count" },
  { name: "idempotency_keys", label: "Idempotency keys", hint: "That are remembered at once" },
];

export const RETENTION: readonly { name: string; label: string; hint?: string; unit: "" | "bytes" | "seconds" }[] = [
  { name: "events", label: "Events", unit: "" },
  { name: "age_seconds", label: "Age in seconds", unit: "seconds" },
  { name: "bytes", label: "Bytes", unit: "bytes" },
  {
    name: "webhook_backlog.bytes",
    label: "Bytes kept for webhooks alone",
    hint: "0: retention waits for no webhook",
    unit: "bytes",
  },
  { name: "webhook_backlog.age_seconds", label: "Seconds kept for webhooks alone", unit: "seconds" },
];

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
  return Object.fromEntries(
    Object.entries(values(map)).map(([path, value]) => [path, value === null ? "" : String(value)]),
  );
}

/** What is to be sent, and what is wrong with the fields. */
export function changes(map: Map, now: Texts): { body: Body; faults: Record<string, string> } {
  const [body, faults]: [Body, Record<string, string>] = [{}, {}];
  for (const [path, before] of Object.entries(values(map))) {
    const text = (now[path] ?? "").trim();
    if (text === (before === null ? "" : String(before))) continue;
    const named = path === "name" || path === "slug";
    if (path === "slug" && text !== "" && !/^[a-z0-9][a-z0-9_-]{0,62}$/.test(text)) {
      faults[path] = "Lower-case letters, digits, - and _, at most 63; a letter or digit first.";
    } else if (!named && text !== "" && !(/^\d+$/.test(text) && Number.isSafeInteger(Number(text)))) {
      faults[path] = "A whole number, or nothing for no limit.";
    }
    put(body, path, text === "" ? (path === "name" ? "" : null) : named ? text : Number(text));
  }
  return { body, faults };
}

/** The command line that sends the same. */
export function commandLine(map: string, body: Body): string {
  const options = flat(body).map(([path, value]) => {
    const limit = path.startsWith("limits.") ? path.slice("limits.".length).replaceAll("_", "-") : undefined;
    const text = value === null ? "none" : String(value);
    return `--${limit ?? OPTIONS[path] ?? path} ${text === "" ? "''" : shell(text)}`;
  });
  const lacking = flat(body).filter(([path, value]) => value === null && !path.startsWith("limits."));
  if (lacking.length === 0) return ["waypost map update", shell(map), ...options].join(" ");
  return (
    `curl -sS -X PATCH "$WAYPOST_URL/api/maps/${encodeURIComponent(map)}" -H "Authorization: Bearer $WAYPOST_ADMIN_TOKEN" \\\n` +
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

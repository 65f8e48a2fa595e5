// Operator events in words: what the cluster told those who operate it.
import type { Event } from "../history/event";

/** The slug of the map that has them. */
export const SYSTEM_MAP = "waypost-system";

export type Tone = "ok" | "warn" | "bad" | "info";

export interface Told {
  tone: Tone;
  text: string;
  /** The address of the page that shows more of it; null if there is none. */
  path: readonly string[] | null;
}

/** Says an operator event in a sentence. */
export function toldOf(event: Event): Told {
  const node = named(event, "node");
  const { payload } = event;
  switch (event.type) {
    case "node.down":
      return { tone: "bad", text: `${node} is down`, path: null };
    case "node.up":
      return { tone: "ok", text: `${node} is there again`, path: null };
    case "leader.changed":
      return { tone: "info", text: `${named(event, "to")} leads, after ${named(event, "from")}`, path: null };
    case "disk.low":
      return { tone: "warn", text: `the disk of ${node} has ${numberOf(payload, "percent")} % left`, path: null };
    case "clock.apart":
      return { tone: "warn", text: `the clock of ${node} is ${numberOf(payload, "offset_ms")} ms off`, path: null };
    case "certificate.expiring":
      return {
        tone: "warn",
        text: `the ${textOf(payload, "certificate") ?? ""} certificate of ${node} ends in ${numberOf(payload, "days")} d`,
        path: null,
      };
    case "webhook.failing":
      return {
        tone: "bad",
        text: `${webhookOf(event)} has failed for ${numberOf(payload, "percent")} % of the time until it is disabled`,
        path: pathOf(event),
      };
    case "webhook.disabled":
      return { tone: "bad", text: `${webhookOf(event)} was disabled`, path: pathOf(event) };
    case "webhook.losing":
      return { tone: "bad", text: `${webhookOf(event)} loses events`, path: pathOf(event) };
    default:
      return { tone: "info", text: event.type, path: null };
  }
}

function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}

function textOf(value: unknown, name: string): string | null {
  const found = memberOf(value, name);
  return typeof found === "string" && found !== "" ? found : null;
}

function numberOf(value: unknown, name: string): string {
  const found = memberOf(value, name);
  return typeof found === "number" ? String(found) : "–";
}

/** A node by its name, or else by its id. */
function named(event: Event, name: string): string {
  const node = memberOf(event.payload, name);
  return textOf(node, "name") ?? `node ${numberOf(node, "id")}`;
}

function webhookOf(event: Event): string {
  const [webhook, map] = [memberOf(event.payload, "webhook"), memberOf(event.payload, "map")];
  const name = textOf(webhook, "name") ?? textOf(webhook, "host") ?? textOf(webhook, "id") ?? "";
  return `the webhook ${name} of ${textOf(map, "slug") ?? textOf(map, "id") ?? "a map"}`;
}

function pathOf(event: Event): readonly string[] | null {
  const map = memberOf(event.payload, "map");
  const [of, id] = [textOf(map, "slug") ?? textOf(map, "id"), textOf(memberOf(event.payload, "webhook"), "id")];
  return of === null || id === null ? null : ["maps", of, "webhooks", id];
}

// Events as the console reads them, and what their ids tell.

import type { Json } from "../json-tree/model";

/** A stored event, or one that was only sent. */
export interface Event {
  id: string;
  /** The number in the stream; an ephemeral event has none. */
  seq?: number | undefined;
  type: string;
  /** Absent if it is the map's own. */
  subject?: string | undefined;
  map_id: string;
  /** The time at which it was accepted, ISO. */
  ts: string;
  user_id?: string | undefined;
  traceparent?: string | undefined;
  payload: Json;
}

/** What an event's id tells without asking anybody. */
export interface IdFacts {
  /** Unix milliseconds. The event's own time is stored beside its id, and may differ a little. */
  ms: number;
  /** Whether the event was only sent, and is stored nowhere. */
  ephemeral: boolean;
  /** The group of the log, its index, and the place in the entry; 0 for an ephemeral event. */
  group: number;
  index: number;
  slot: number;
}

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ID = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
/** The group in the ids of ephemeral events. */
const EPHEMERAL = 4095n;

/** The id in the form that the server writes; `null` if the text is none. */
export function normalId(text: string): string | null {
  const id = text.trim().toUpperCase();
  return ID.test(id) ? id : null;
}

/** What an id tells; `null` if the text is none. */
export function factsOf(text: string): IdFacts | null {
  const id = normalId(text);
  if (id === null) return null;
  const value = Array.from(id).reduce((sum, char) => sum * 32n + BigInt(ALPHABET.indexOf(char)), 0n);
  const group = (value >> 68n) & 4095n;
  const ephemeral = group === EPHEMERAL;
  return {
    ms: Number(value >> 80n),
    ephemeral,
    group: ephemeral ? 0 : Number(group),
    index: ephemeral ? 0 : Number((value >> 20n) & ((1n << 48n) - 1n)),
    slot: ephemeral ? 0 : Number(value & ((1n << 20n) - 1n)),
  };
}

/**
 * The event in the data of a frame; `null` if the frame is about the stream itself. Only events have a `ts` and
 * a `type`.
 */
export function eventOf(data: string): Event | null {
  let read: unknown;
  try {
    read = JSON.parse(data);
  } catch {
    return null;
  }
  if (read === null || typeof read !== "object") return null;
  const of = read as Record<string, unknown>;
  if (typeof of["ts"] !== "string" || typeof of["type"] !== "string" || typeof of["id"] !== "string") return null;
  // A second form of the time, for clients of another product.
  delete of["timestamp"];
  return of as unknown as Event;
}

/** The event as people copy it. */
export function eventText(event: Event): string {
  return JSON.stringify(event, null, 2);
}

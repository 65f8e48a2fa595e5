// Which events are to be delivered again: what the form says, as a request and as a command line.
import { counted } from "../words";
import { commandLine } from "./commands";

export interface ReplayForm {
  from: "since" | "after" | "events" | "all";
  /** A time as `<input type="datetime-local">` has it, in the browser's zone. */
  since: string;
  after: string;
  /** Ids with commas, spaces or on lines. */
  events: string;
  /** As `since`; "" for up to now. */
  until: string;
  failedOnly: boolean;
}

export interface ReplayBody {
  since?: string;
  after?: string;
  event_ids?: string[];
  until?: string;
  failed_only?: boolean;
}

/** Most events that one request may name. */
const MOST = 100;

/** Makes the request; a text says what is missing. */
export function replayBody(form: ReplayForm): { body: ReplayBody } | { fault: string } {
  const body: ReplayBody = {};
  if (form.from === "events") {
    const ids = form.events.split(/[\s,]+/).filter((id) => id !== "");
    if (ids.length === 0) return { fault: "Name at least one event by its id." };
    if (ids.length > MOST) return { fault: `At most ${MOST} events can be named at once; these are ${ids.length}.` };
    return { body: { event_ids: ids } };
  }
  if (form.from === "since") {
    const since = isoOf(form.since);
    if (since === null) return { fault: "Say since when." };
    body.since = since;
  }
  if (form.from === "after") {
    if (form.after.trim() === "") return { fault: "Name the event after which to begin." };
    body.after = form.after.trim();
  }
  if (form.from === "all" && !form.failedOnly) return { fault: "Say where to begin." };
  if (form.until !== "") {
    const until = isoOf(form.until);
    if (until === null) return { fault: "The end is no time." };
    body.until = until;
  }
  if (form.failedOnly) body.failed_only = true;
  return { body };
}

/** The command line that asks for the same. */
export function replayCommand(kind: "webhook" | "consumer", map: string, word: string, body: ReplayBody): string {
  return commandLine([kind, "replay"], [map, word], {
    since: body.since,
    after: body.after,
    events: body.event_ids?.join(","),
    until: body.until,
    failed: body.failed_only,
  });
}

/** How many events a replay would have, as the node says it. */
export interface ReplayPlan {
  from_seq: number;
  until_seq: number;
  failed_only: boolean;
  events: number;
}

/** The parameters that ask for the plan of a replay; null if it names its events. */
export function planQuery(body: ReplayBody): Record<string, string> | null {
  if (body.event_ids !== undefined) return null;
  const given = Object.entries(body).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
}

/** Says what a replay would deliver. */
export function planText(plan: ReplayPlan): string {
  if (plan.failed_only) {
    if (plan.events === 0) return "There is no such dead letter: nothing would be delivered.";
    return `${counted(plan.events, "dead letter")} would be delivered again, as far as the filter chooses them.`;
  }
  if (plan.events === 0) return "There is no event then: nothing would be delivered.";
  return `It would look at ${counted(plan.events, "event")}, and deliver again those that the filter chooses.`;
}

/** Which events a replay has: a sentence, and their numbers in the stream. */
export function whatText(replay: {
  failed_only: boolean;
  from_seq: number;
  until_seq: number | null;
  from_at?: string | null;
}): { what: string; since: string | null; seqs: string } {
  const whole = new Intl.NumberFormat("en");
  const last = replay.until_seq === null ? "the end" : whole.format(replay.until_seq - 1);
  return {
    what: replay.failed_only ? "dead letters" : "events",
    since: replay.from_seq <= 1 ? null : (replay.from_at ?? null),
    seqs:
      replay.from_seq === (replay.until_seq ?? 0) - 1
        ? `seq ${last}`
        : `seq ${whole.format(replay.from_seq)} to ${last}`,
  };
}

/** The time of a `datetime-local` field, in UTC; null if there is none. */
export function isoOf(local: string): string | null {
  if (local === "") return null;
  const time = new Date(local);
  return Number.isNaN(time.getTime()) ? null : time.toISOString();
}

/** A time as a `datetime-local` field takes it, in the browser's zone. */
export function localOf(time: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())}`;
  return `${day}T${two(time.getHours())}:${two(time.getMinutes())}`;
}

/** Times from which people replay: an hour ago, midnight, noon if it has passed, a day ago. */
export function quickTimes(now: Date): { label: string; at: Date }[] {
  const hours = (count: number) => new Date(now.getTime() - count * 3_600_000);
  const today = (hour: number) => new Date(now.getFullYear(), now.getMonth(), now.getDate(), hour);
  const times = [
    { label: "an hour ago", at: hours(1) },
    { label: "midnight", at: today(0) },
    { label: "noon", at: today(12) },
    { label: "a day ago", at: hours(24) },
  ];
  return times.filter(({ at }) => at.getTime() < now.getTime());
}

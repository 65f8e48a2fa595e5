// The states of webhooks, consumers, ingest sources and replays, in words.
import { counted } from "../words";

/** How urgent a state is: well, worth a look, bad, or at rest on purpose. */
export type Tone = "ok" | "warn" | "bad" | "off";

export interface Said {
  word: string;
  tone: Tone;
  /** Why, in a sentence; null if there is nothing to say. */
  why: string | null;
}

/** What is read of a webhook. */
export interface WebhookFacts {
  state: string;
  disabled_reason?: string | null;
  disabled_at?: string | null;
  consecutive_failures: number;
  failing_since?: string | null;
  last_error: string | null;
  last_delivery_at: string | null;
  losing_since?: string | null;
  missed?: number;
  next_attempt_at?: string | null;
  auto_disable_seconds?: number | null;
  queue_depth: number;
  oldest_at?: string | null;
  /** How long a request takes, in milliseconds. */
  request_ms?: number | null;
  ordering?: string;
  batch?: { max?: number } | null;
  rate_limit?: { requests: number; period_ms: number } | null;
  /** Which events it gets. */
  filter?: unknown;
}

/**
 * Says the state of a webhook. `now` is Unix milliseconds; `growth` is how many events more wait each second, if that
 * is known.
 */
export function webhookState(webhook: WebhookFacts, now: number, growth: number | null = null): Said {
  switch (webhook.state) {
    case "healthy":
      return {
        word: "healthy",
        tone: "ok",
        why: webhook.last_delivery_at === null ? nothingYet(webhook.filter) : null,
      };
    case "throttled": {
      const next = until(webhook.next_attempt_at, now);
      const said = `The receiver asked for a pause${webhook.last_error ? ` (${webhook.last_error})` : ""}`;
      return {
        word: "waiting",
        tone: "warn",
        why: `${said}${next === null ? "" : `; it goes on in ${next}`}.`,
      };
    }
    case "behind":
      return { word: "behind", tone: "warn", why: behind(webhook, now, growth) };
    case "failing":
      return { word: "failing", tone: "bad", why: failing(webhook, now) };
    case "losing":
      return {
        word: "losing events",
        tone: "bad",
        why: `It is so far behind that retention removes events that it has not got: ${webhook.missed ?? 0} so far.`,
      };
    case "disabled":
      return { word: "disabled", tone: "bad", why: sentence(webhook.disabled_reason ?? "The node does not say why.") };
    case "paused":
      return {
        word: "paused",
        tone: "off",
        why: "Somebody stopped it. Events are kept as long as the map keeps them.",
      };
    default:
      return { word: webhook.state, tone: "warn", why: null };
  }
}

/** Why a webhook may wait in vain: many do not know that it gets the events of one subject unless it names others. */
function nothingYet(filter: unknown): string {
  const choosing = ["subjects", "channel_type", "channel_prefix"];
  const given = typeof filter === "object" && filter !== null ? Object.entries(filter) : [];
  const chooses = given.some(([name, value]) => choosing.includes(name) && value !== null);
  return chooses ? "Nothing was delivered yet." : "Nothing was delivered yet. It gets the map's own subject alone.";
}

/** A growth that is nearer to none than this says nothing. */
const STEADY = 0.05;

/** How far a webhook is behind that does not fail, what makes it slow, and whether it catches up. */
function behind(webhook: WebhookFacts, now: number, growth: number | null): string {
  const oldest = ago(webhook.oldest_at, now);
  const parts = [oldest === null ? null : `The oldest event waits for ${oldest}.`];
  if (growth !== null && growth > STEADY) {
    parts.push(`It falls further behind: ${rateOf(growth)} events more wait each second.`);
  }
  if (growth !== null && growth < -STEADY) {
    parts.push(`It catches up, in about ${span((webhook.queue_depth / -growth) * 1000)}.`);
  }
  parts.push(...slowness(webhook));
  return parts.filter((part) => part !== null).join(" ");
}

/** What bounds the speed of a webhook, as far as its settings and its last requests say: a sentence each. */
function slowness(webhook: WebhookFacts): string[] {
  const took = webhook.request_ms ?? null;
  const request = took === null ? null : `a request takes ${tookText(took)}`;
  const events = webhook.batch?.max ?? 1;
  const batch = events > 1 ? `, with up to ${events} events each` : "";
  const most = took === null || took === 0 ? "" : `: at most ${rateOf(1000 / took)} a second${batch}`;
  const sentences: string[] = [];
  if (webhook.ordering === "strict") {
    const order = "each event waits for the one before it (strict order)";
    sentences.push(request === null ? order : `${order}, and ${request}${most}`);
  } else if (webhook.ordering === "key") {
    const order = "events of the same key wait for each other";
    sentences.push(request === null ? order : `${order}, and ${request}${most}${most === "" ? "" : " for each key"}`);
  } else if (request !== null) sentences.push(request);
  const rate = webhook.rate_limit ?? null;
  if (rate !== null)
    sentences.push(`it may make ${counted(rate.requests, "request")} in any ${tookText(rate.period_ms)}`);
  return sentences.map(sentence);
}

function tookText(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds} ms` : `${Number((milliseconds / 1000).toFixed(1))} s`;
}

/** A rate with as many digits as one reads. */
function rateOf(rate: number): string {
  return rate >= 10 ? String(Math.round(rate)) : String(Number(rate.toPrecision(2)));
}

function failing(webhook: WebhookFacts, now: number): string {
  const since = ago(webhook.failing_since, now);
  // How many failed is told by the facts: of requests that were under way together, the count in a row has one.
  const parts = [since === null ? "the last attempts failed" : `every attempt has failed for ${since} now`];
  if (webhook.last_error !== null && webhook.last_error !== "") parts.push(webhook.last_error);
  const end = disabledIn(webhook, now);
  const near = end !== null && end.share >= 0.5;
  return sentence(parts.join(": ")) + (near ? ` It is disabled ${end.text} if this goes on.` : "");
}

/**
 * When a failing webhook is disabled if nothing is delivered, in words, and how much of the time until then has passed,
 * from 0; null if that never happens.
 */
export function disabledIn(
  webhook: Pick<WebhookFacts, "failing_since" | "auto_disable_seconds">,
  now: number,
): { text: string; share: number } | null {
  const since = Date.parse(webhook.failing_since ?? "");
  const most = webhook.auto_disable_seconds ?? null;
  if (Number.isNaN(since) || most === null || most <= 0) return null;
  const passed = Math.max(0, now - since);
  const left = most * 1000 - passed;
  return { text: left <= 0 ? "at its next failure" : `in ${span(left)}`, share: passed / (most * 1000) };
}

/** What is read of a consumer's state. */
export interface ConsumerFacts {
  lag?: number;
  oldest_at?: string | null;
  rate?: number | null;
  missed?: number;
  losing_since?: string | null;
  dead_letters?: number;
  last_ack_at?: string | null;
}

/** A consumer that has waited for so long without an acknowledgement is not read. */
const STUCK_MS = 5 * 60_000;
/** An event that waits for longer than this is worth a look. */
const BEHIND_MS = 60_000;

/** Says the state of a consumer. */
export function consumerState(state: ConsumerFacts, now: number): Said {
  const lag = state.lag ?? 0;
  if (typeof state.losing_since === "string") {
    return {
      word: "losing events",
      tone: "bad",
      why: `It is so far behind that retention removes events that no reader has got: ${state.missed ?? 0} so far.`,
    };
  }
  if (lag === 0) return { word: "up to date", tone: "ok", why: null };
  const oldest = Date.parse(state.oldest_at ?? "");
  const acked = Date.parse(state.last_ack_at ?? "");
  const waits = !Number.isNaN(oldest) && now - oldest > STUCK_MS;
  const quiet = Number.isNaN(acked) || now - acked > STUCK_MS;
  if (waits && quiet) {
    const last = Number.isNaN(acked)
      ? "Nobody has acknowledged anything yet."
      : `The last acknowledgement was ${span(now - acked)} ago.`;
    return { word: "not read", tone: "bad", why: `The oldest event waits for ${span(now - oldest)}. ${last}` };
  }
  if (now - oldest > BEHIND_MS) {
    return { word: "behind", tone: "warn", why: `The oldest event waits for ${span(now - oldest)}.` };
  }
  return { word: "reading", tone: "ok", why: null };
}

/** Says the state of an ingest source. */
export function sourceState(status: string): Said {
  switch (status) {
    case "active":
      return { word: "active", tone: "ok", why: null };
    case "inactive":
      return { word: "inactive", tone: "off", why: "It answers 404 to its senders." };
    case "error":
      return { word: "refusing", tone: "bad", why: "The newest request was refused: see its deliveries." };
    default:
      return { word: status, tone: "warn", why: null };
  }
}

/** What is read of a replay. */
export interface ReplayFacts {
  state: string;
  /** The share that is finished: delivered, given up, gone or not chosen. */
  progress: number;
  from_seq: number;
  /** One past the last seq; null while a replay to the end waits. */
  until_seq: number | null;
  delivered: number;
  failed: number;
  /** Events that wait for another attempt. */
  retrying?: number;
  missed: number;
  /** Whether only dead letters are delivered again: then these alone are its events. */
  failed_only?: boolean;
  /** How many events it has, and how many of them still wait; null if that is not known yet. */
  total?: number | null;
  left?: number | null;
}

/** How many events a replay has, and how many of them still wait: for their turn or for another attempt. */
export function replayCounts(replay: ReplayFacts): { total: number; left: number } | null {
  if (replay.total === null) return null;
  if (replay.total !== undefined) return { total: replay.total, left: replay.left ?? 0 };
  if (replay.until_seq === null) return null;
  const total = Math.max(0, replay.until_seq - replay.from_seq);
  return { total, left: total - Math.round(total * Math.min(1, Math.max(0, replay.progress))) };
}

/** Says how far a replay is, in one line. */
export function replayLine(replay: ReplayFacts): string {
  const counts = replayCounts(replay);
  const parts = [`${replay.delivered} delivered`, `${replay.failed} failed`];
  if (replay.missed > 0) parts.push(counted(replay.missed, "was gone", "were gone"));
  if (counts === null) return `${replay.state}: ${parts.join(", ")}`;
  const again = replay.retrying ?? 0;
  const waits =
    again === 0 ? "" : again === counts.left ? " for another attempt" : `, ${again} of them for another attempt`;
  if (counts.left > 0) parts.push(counted(counts.left, "still waits", "still wait") + waits);
  const events = counted(counts.total, replay.failed_only === true ? "dead letter" : "event");
  return `${replay.state}, ${percent(replay.progress)} of ${events}: ${parts.join(", ")}`;
}

/** Why the replays of a webhook wait, in a sentence; null if they need not. */
export function replayWaits(webhook: WebhookFacts, now: number): string | null {
  if (webhook.state !== "failing" && webhook.state !== "throttled") return null;
  const next = until(webhook.next_attempt_at, now);
  const when = next === null ? "is made as soon as it is its turn" : `comes in ${next}`;
  return `The webhook is ${webhook.state === "failing" ? "failing" : "waiting"}; the next attempt ${when}.`;
}

/** A share as a percentage that is 100 only at the end. */
export function percent(share: number): string {
  const bounded = Math.min(1, Math.max(0, share));
  return `${bounded === 1 ? 100 : Math.min(99, Math.floor(bounded * 100))} %`;
}

/** A time span in two units at most, as in 2 h 5 min. */
export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const units: [number, string][] = [
    [86_400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const first = units.findIndex(([length]) => seconds >= length);
  if (first < 0) return "0 s";
  const [length, name] = units[first] as [number, string];
  const next = units[first + 1];
  const rest = next === undefined ? 0 : Math.floor((seconds % length) / next[0]);
  const head = `${Math.floor(seconds / length)} ${name}`;
  return next === undefined || rest === 0 ? head : `${head} ${rest} ${next[1]}`;
}

/** A duration in the unit of a setting as people say it, as in 5 d; null for what is none, or short. */
export function durationIn(unit: string | undefined, text: string): string | null {
  const factor = unit === "s" || unit === "seconds" ? 1000 : unit === "ms" ? 1 : null;
  const value = text.trim();
  if (factor === null || !/^\d{1,15}$/.test(value)) return null;
  const milliseconds = Number(value) * factor;
  if (milliseconds < (factor === 1 ? 1000 : 60_000)) return null;
  return milliseconds % 1000 === 0 ? span(milliseconds) : `${milliseconds / 1000} s`;
}

/** The value of a setting, and how long that is. */
export function valueIn(unit: string | undefined, value: string): string {
  const long = durationIn(unit, value);
  return long === null ? value : `${value} (${long})`;
}

function ago(at: string | null | undefined, now: number): string | null {
  const time = Date.parse(at ?? "");
  return Number.isNaN(time) ? null : span(now - time);
}

function until(at: string | null | undefined, now: number): string | null {
  const time = Date.parse(at ?? "");
  return Number.isNaN(time) || time <= now ? null : span(time - now);
}

/** A text that begins with a capital and ends with a full stop. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const first = trimmed.slice(0, 1).toUpperCase() + trimmed.slice(1);
  return /[.!?…]$/.test(first) || first === "" ? first : `${first}.`;
}

/** What the class of an attempt means to somebody who has never seen it. */
const CLASSES: Readonly<Record<string, string>> = {
  delivered: "delivered",
  dns: "the receiver's name was not found",
  blocked: "the address may not be reached from here",
  connect: "no connection to the receiver",
  tls: "no secure connection: certificate or handshake",
  timeout: "no answer in time",
  closed: "the receiver closed the connection without an answer",
  protocol: "the answer was not HTTP",
  status: "the receiver refused it",
  redirect: "the receiver redirects, which is not followed",
  throttled: "the receiver asked for a pause",
  render: "the body could not be made",
  function: "the function reported an error",
  expired: "the event is no longer kept",
  skipped: "skipped when the webhook was enabled",
  overflow: "too many events waited",
  internal: "the node failed",
  refused: "readers refused it",
  unacknowledged: "readers did not acknowledge it",
};

/** The class of an attempt in words. */
export function classWords(name: string): string {
  return CLASSES[name] ?? name;
}

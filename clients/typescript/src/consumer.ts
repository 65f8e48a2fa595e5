import { ConfigurationError, RequestError } from "./errors.js";
import type { Api } from "./http.js";
import { persistently } from "./http.js";
import type { ConnectOptions, RetryOptions, WebhookEvent } from "./types.js";

/** How often a request of `connect` is sent. */
const TRIES = 4;
/** A page of dead letters. */
const PAGE = 100;

/** An event of Waypost. */
export interface StoredEvent {
  id: string;
  seq: number;
  type: string;
  subject?: string;
  ts: string;
  payload: unknown;
}

/** An event that is handed over. */
export interface Handed {
  ack_id: string;
  attempt: number;
  event: StoredEvent;
}

/** An event that was given up. */
export interface Letter {
  id: string;
  seq: number;
  type: string;
  attempts: number;
  given_up_at: string;
  class: string;
  error: string;
  event: StoredEvent | null;
}

export interface Letters {
  data: Letter[];
  cursor: number | null;
  has_more: boolean;
}

interface Shown extends Record<string, unknown> {
  filter: { expression: string | null };
  max_retries: number;
  visibility_ms: number;
}

/** The consumer of Waypost that an adapter reads. */
export class Consumer {
  /** After so many retries an event is given up. */
  maxRetries = Number.POSITIVE_INFINITY;
  /** How long this process has an event alone, in milliseconds, unless it keeps it. */
  visibility: number;
  private readonly path: string;

  constructor(
    private readonly api: Api,
    readonly name: string,
    readonly endpointId: string,
    visibility: number,
  ) {
    this.path = `/consumers/${encodeURIComponent(name)}`;
    this.visibility = visibility;
  }

  /** Makes the consumer, or changes the one that there is. */
  async prepare(options: ConnectOptions, signal: AbortSignal): Promise<void> {
    try {
      await this.ask("GET", `/ingest/${this.endpointId}`, signal);
      const shown = (await this.show(signal)) ?? (await this.create(options, signal));
      const expression = shown.filter.expression;
      if (expression !== this.expression()) {
        throw new ConfigurationError(
          `consumer: ${this.name} has another filter (${expression ?? "none"}): choose another name`,
        );
      }
      const changes = settings(options);
      const differs = Object.entries(changes).some(([name, value]) => shown[name] !== value);
      const current = differs ? await this.ask<Shown>("PATCH", this.path, signal, changes) : shown;
      this.maxRetries = current.max_retries;
      this.visibility = current.visibility_ms;
    } catch (error) {
      throw forbidden(error, this.api.map, this.name);
    }
  }

  /** Waits so many seconds for events, and takes at most `max`. */
  async pull(max: number, seconds: number, signal: AbortSignal): Promise<Handed[]> {
    const path = `${this.path}/pull?max=${max}&wait=${seconds}`;
    const waits = seconds * 1000;
    return (await this.api.request<{ data: Handed[] }>("POST", path, { signal, waits })).data;
  }

  /** Acknowledges, refuses or keeps events. Returns the ids of those that this process no longer has. */
  async settle(how: "ack" | "nack" | "extend", ids: string[], signal: AbortSignal): Promise<string[]> {
    const body = { ack_ids: ids };
    const answer = await this.api.request<{ data: { unknown: string[] } }>("POST", `${this.path}/${how}`, { body, signal });
    return answer.data.unknown;
  }

  async deadLetters(after: number, signal: AbortSignal): Promise<Letters> {
    return this.api.request<Letters>("GET", `${this.path}/dead-letters?limit=${PAGE}&after=${after}`, { signal });
  }

  async forget(letter: Letter, signal: AbortSignal): Promise<void> {
    try {
      await this.api.request("DELETE", `${this.path}/dead-letters/${letter.id}`, { signal });
    } catch (error) {
      // Somebody else has removed it, or delivers it again.
      if (!isNotFound(error)) throw error;
    }
  }

  /** The event as handlers get it. */
  read(event: StoredEvent, attempt: number): WebhookEvent {
    const { id, seq, type, subject, ts, payload } = event;
    const members = isObject(payload) ? payload : {};
    const { timestamp, user_id: user, properties } = members;
    const read: WebhookEvent = {
      id,
      event_type: type,
      timestamp: typeof timestamp === "string" ? timestamp : ts,
      properties: isObject(properties) ? properties : {},
      payload,
      source: this.endpointId,
      seq,
      receivedAt: ts,
      attempt,
    };
    if (typeof user === "string" || typeof user === "number") read.user_id = user;
    if (subject !== undefined) read.subject = subject;
    return read;
  }

  /** The event of a dead letter, as far as Waypost still has it. */
  readLetter(letter: Letter): WebhookEvent {
    const { id, seq, type, given_up_at: ts } = letter;
    return this.read(letter.event ?? { id, seq, type, ts, payload: null }, letter.attempts);
  }

  private expression(): string {
    return `source == "${this.endpointId}"`;
  }

  private async show(signal: AbortSignal): Promise<Shown | undefined> {
    try {
      return await this.ask<Shown>("GET", this.path, signal);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  private async create(options: ConnectOptions, signal: AbortSignal): Promise<Shown> {
    const filter = { subjects: ["*"], expression: this.expression() };
    const body = { name: this.name, filter, start: options.start ?? "new", ...settings(options) };
    try {
      return await this.ask<Shown>("POST", "/consumers", signal, body);
    } catch (error) {
      // Another process was first, or the answer to this one's first request was lost.
      const made = error instanceof RequestError && error.status === 409 ? await this.show(signal) : undefined;
      if (made === undefined) throw error;
      return made;
    }
  }

  private ask<T>(method: string, path: string, signal: AbortSignal, body?: unknown): Promise<T> {
    return persistently(TRIES, signal, async () => {
      return (await this.api.request<{ data: T }>(method, path, { body, signal })).data;
    });
  }
}

/** The settings of a consumer that these options name. */
function settings(options: ConnectOptions): Record<string, unknown> {
  const named: Record<string, unknown> = {};
  if (options.retry !== undefined) Object.assign(named, retrySettings(options.retry));
  if (options.ordering !== undefined) named["ordering"] = options.ordering;
  if (options.orderingKey !== undefined) named["ordering_key"] = options.orderingKey;
  if (options.visibility !== undefined) named["visibility_ms"] = options.visibility;
  return named;
}

function retrySettings({ enabled = true, maxRetries = 3, initialDelay = 1000, backoffMultiplier = 2 }: RetryOptions): object {
  return {
    max_retries: enabled ? maxRetries : 0,
    initial_delay_ms: initialDelay,
    backoff_multiplier: backoffMultiplier,
  };
}

function forbidden(error: unknown, map: string, consumer: string): unknown {
  if (!(error instanceof RequestError) || error.status !== 403) return error;
  const message =
    `the token may not manage consumers of the map ${map}: ${error.message}. Use a token with the scopes manage and ` +
    `subscribe. Or let somebody else make the consumer ${consumer}, and connect with manage: false.`;
  return new RequestError(403, error.code, message);
}

function isNotFound(error: unknown): boolean {
  return error instanceof RequestError && error.status === 404;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

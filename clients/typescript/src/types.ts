import type { AdapterError, DeadLetterError } from "./errors.js";

/** Where Waypost is, and as whom to speak to it. */
export interface AdapterOptions {
  /**
   * The address of a node, or of several: after a lost connection the next one is tried. Without it: the environment
   * variable `WAYPOST_URL` (several with commas between them).
   */
  url?: string | string[];
  /** A token of the map. Without it: the environment variable `WAYPOST_TOKEN`. */
  token?: string;
  /** The map: its slug or its id. Without it: the environment variable `WAYPOST_MAP`. */
  map?: string;
  /** How long a request may take, in milliseconds (10,000). */
  timeout?: number;
  /** Used instead of the global `fetch`. */
  fetch?: typeof fetch;
  /** Used instead of the global `crypto` to sign what `send` sends. Node 18 has it as `webcrypto` in `node:crypto`. */
  crypto?: Pick<Crypto, "subtle">;
}

/** How senders prove who they are; docs/INGEST.md describes each. */
export type Authentication =
  | "hmac"
  | "api_key"
  | "jwt"
  | "github"
  | "gitlab"
  | "stripe"
  | "shopify"
  | "slack"
  | "twilio"
  | "standard"
  | "waypost"
  | "none";

/** The settings of a new endpoint. Waypost calls it an ingest source. */
export interface EndpointSettings {
  name: string;
  authentication: Authentication;
  /** The secret, for all that sign. For `hmac` Waypost makes one if there is none, and shows it once. */
  secretKey?: string;
  /** For `api_key`. Waypost makes one if there is none, and shows it once. */
  apiKey?: string;
  hmacAlgorithm?: "sha256";
  /** For `jwt`: the key in PEM. */
  publicKey?: string;
  /** For `jwt`: the keys as a JWKS document. */
  jwks?: unknown;
  /** For `jwt`. */
  jwt?: { algorithm: "HS256" | "RS256" | "ES256" | "EdDSA"; issuer?: string; audience?: string };
  /** What bodies become; see docs/INGEST.md. */
  mapping?: Record<string, unknown>;
  /** A JSON Schema for each payload, and what to do with those that it does not allow. */
  schema?: unknown;
  onInvalid?: "refuse" | "mark";
  /** A header that makes requests the same. */
  dedupeHeader?: string;
  limits?: { requestsPerMinute?: number; requestsPerMinutePerAddress?: number };
}

/** An endpoint as Waypost shows it, with its status. */
export interface Endpoint {
  id: string;
  /** Where its senders post. */
  url: string;
  name: string;
  authentication: Authentication;
  /** `error`: the newest request was refused. */
  status: "active" | "inactive" | "error";
  active: boolean;
  eventsReceived: number;
  lastEventAt: string | null;
  createdAt: string;
  updatedAt: string;
  /** Only in the answer to the request that made it. */
  secretKey?: string;
  /** Only in the answer to the request that made it. */
  apiKey?: string;
}

/** An event as senders send it. */
export interface SentEvent {
  event_type: string;
  timestamp?: string;
  user_id?: string | number;
  properties?: Record<string, unknown>;
}

/** To whom `send` sends, and how it proves itself. */
export type SendTarget = { url: string } & (
  | { authentication: "hmac"; secretKey: string }
  | { authentication: "api_key"; apiKey: string }
  | { authentication: "jwt"; jwt: string }
  | { authentication: "none" }
);

/** What Waypost stored. */
export interface Sent {
  received: number;
  ids: string[];
  validated: boolean;
}

/** An event as handlers get it. */
export interface WebhookEvent {
  /** The same at each hand-over. Handlers recognise by it what they have had. */
  id: string;
  event_type: string;
  /** The sender's, if it states one; else when Waypost accepted the event. */
  timestamp: string;
  user_id?: string | number;
  /** Empty if the payload has no object of this name, as with a mapping. */
  properties: Record<string, unknown>;
  /** The payload as Waypost stores it. `null` if it has removed the event: only dead letters can be so old. */
  payload: unknown;
  /** The endpoint. */
  source: string;
  /** The position in the map. */
  seq: number;
  subject?: string;
  /** When Waypost accepted the event. */
  receivedAt: string;
  /** 1 at the first hand-over. */
  attempt: number;
}

/** What happens to an event whose handler failed. */
export interface RetryOptions {
  /** With `false` an event whose handler failed once becomes a dead letter (true). */
  enabled?: boolean;
  /** How often it comes again (3; at most 99). */
  maxRetries?: number;
  /** When it comes again for the first time, in milliseconds (1,000; at least 10). */
  initialDelay?: number;
  /** Each further time that many times later (2; 1 to 10). */
  backoffMultiplier?: number;
}

/** What to listen to. */
export interface ConnectOptions {
  /** The endpoint: `wh_…`. */
  endpointId: string;
  /** Without it an existing consumer keeps its settings, and a new one has the defaults. */
  retry?: RetryOptions;
  /**
   * The name of the consumer in Waypost that remembers what was handled: `adapter.{endpointId}`. Processes with the same
   * name share the events; with different names each has them all.
   */
  consumer?: string;
  /**
   * `false`: the consumer exists, and is neither made nor changed, so that the token needs no more than the scope
   * `subscribe`. `retry` and the settings of a consumer can't be given then, and there are no `dead_letter` events.
   */
  manage?: boolean;
  /** Where a new consumer begins: with `new` events, or with `all` that the map still has (`new`). */
  start?: "new" | "all";
  /** `strict`: each event waits for the one before. `key`: only for those with the same value of `orderingKey`. */
  ordering?: "none" | "key" | "strict";
  /** An expression, such as `payload.user_id`. */
  orderingKey?: string;
  /**
   * After how many milliseconds the events of a dead process go to others (30,000). With `manage: false` it is what the
   * consumer has.
   */
  visibility?: number;
  /** The most events that are taken at a time (100; at most 500). It counts from the next `startListening` on. */
  maxEvents?: number;
  /** How long a handler may take, in milliseconds, before it counts as failed (300,000). It counts from the next `startListening` on. */
  handlerTimeout?: number;
}

/** Where an adapter is. */
export type AdapterState = "idle" | "connected" | "listening" | "reconnecting" | "closed";

/** What `on` takes. A handler has succeeded when it has returned, or when its promise is fulfilled. */
export interface AdapterEvents {
  /** One event. */
  event: (event: WebhookEvent) => unknown;
  /** Several events that came together. */
  batch: (events: WebhookEvent[]) => unknown;
  /** An event was given up. When the handler has succeeded, Waypost forgets the dead letter. */
  dead_letter: (event: WebhookEvent, error: DeadLetterError) => unknown;
  /** A handler failed with this error at these events. */
  handler_error: (error: unknown, events: WebhookEvent[]) => unknown;
  /** Waypost is out of reach, or asks to come back later. It is tried again after so many milliseconds. */
  reconnecting: (error: AdapterError, delay: number) => unknown;
  /** Listening has ended: for example the token was revoked, or the consumer was deleted. */
  error: (error: AdapterError) => unknown;
}

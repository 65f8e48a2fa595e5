// The client of Waypost's API. Reads are tried again while the node gives no answer; writes are not, because nobody
// knows then whether they were done.
import { signal } from "@preact/signals";
import type { components } from "../../clients/typescript/src/api";

/** The types of docs/openapi.yaml. */
export type Schemas = components["schemas"];

export type QueryValue = string | number | boolean | null | undefined;
export type Query = Record<string, QueryValue | readonly string[]>;

/** What proves who is asking. */
export interface Auth {
  /** The headers that each request gets. */
  headers(): Record<string, string>;
  /** Called when the node no longer accepts them. */
  refused(): void;
}

/** One fault of a body. */
export interface FieldFault {
  field: string;
  message: string;
}

/** The node's answer that it did not do what it was asked. Nothing was changed. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  constructor(
    readonly status: number,
    /** The stable code, as docs/ERRORS.md lists them. */
    readonly code: string,
    message: string,
    /** What to do about it. */
    readonly hint: string | null,
    /** The faults of the body, if it had any. */
    readonly faults: readonly FieldFault[],
    /** Seconds after which another try may succeed. */
    readonly retryAfter: number | null,
    /** The whole answer. */
    readonly body: Readonly<Record<string, unknown>>,
  ) {
    super(message);
  }
}

/** No answer came. A write may or may not have been done. */
export class LostError extends Error {
  override readonly name = "LostError";
  constructor(write: boolean) {
    super(
      write
        ? "The node gave no answer. It may or may not have done this: look before you try again."
        : "The node gives no answer.",
    );
  }
}

/** Whether the node answers: null, or when it answered last, and when the next try is (both Unix milliseconds). */
export const lost = signal<{ since: number; next: number } | null>(null);

/** When an answer came last (Unix milliseconds); 0 before the first. */
let heard = 0;
/** When the node was last asked whether it answers at all. */
let doubted = 0;

let auth: Auth = { headers: () => ({}), refused: () => {} };

/** Sets what proves who is asking. */
export function authenticate(by: Auth): void {
  auth = by;
}

/** Makes a path of a template. Each value is escaped, so that it is one segment: url`/api/maps/${id}`. */
export function url(parts: TemplateStringsArray, ...values: (string | number)[]): string {
  return parts.reduce((path, part, i) => path + encodeURIComponent(String(values[i - 1])) + part);
}

/** Returns a path with a query. Values that are null, undefined or "" are left out. */
export function withQuery(path: string, query?: Query): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") given.append(name, String(one));
    }
  }
  const text = given.toString();
  return text === "" ? path : `${path}?${text}`;
}

export interface Options {
  query?: Query | undefined;
  signal?: AbortSignal | undefined;
  headers?: Record<string, string> | undefined;
  /** Whether a 401 is the caller's own business, as at sign-in. */
  quiet?: boolean | undefined;
  /** For reads: fail with LostError at once instead of trying again. */
  once?: boolean | undefined;
  /** For reads: how long an answer is awaited, in milliseconds, if that is less than usual. */
  limit?: number | undefined;
}

export const api = {
  get: <T>(path: string, options: Options = {}) => read<T>(path, options),
  post: <T = void>(path: string, body?: unknown, options: Options = {}) => write<T>("POST", path, body, options),
  put: <T = void>(path: string, body?: unknown, options: Options = {}) => write<T>("PUT", path, body, options),
  patch: <T = void>(path: string, body?: unknown, options: Options = {}) => write<T>("PATCH", path, body, options),
  delete: <T = void>(path: string, options: Options = {}) => write<T>("DELETE", path, undefined, options),
};

/** A page of a list. */
export interface Page<T> {
  data: T[];
  /** Where the next page begins: for the parameter `after`. Null at the end. */
  next: string | null;
  /** Nodes whose part is missing. */
  unreachable: readonly { id: number; name: string | null }[];
}

/** Reads a page of a list, whichever way the list says where it goes on. */
export async function page<T>(path: string, options: Options = {}): Promise<Page<T>> {
  interface Raw {
    data: T[];
    cursor?: string | number | null;
    has_more?: boolean;
    next?: string | number | null;
    unreachable?: Page<T>["unreachable"];
  }
  const raw = await read<Raw>(path, options);
  const next = raw.next ?? (raw.has_more === true ? (raw.cursor ?? null) : null);
  return { data: raw.data, next: next === null ? null : String(next), unreachable: raw.unreachable ?? [] };
}

/** Returns what to tell the user of an error. */
export function explain(error: unknown): string {
  if (error instanceof ApiError) {
    const faults = error.faults.map((fault) =>
      fault.field === "" ? fault.message : `${fault.field}: ${fault.message}`,
    );
    // The message of some answers has the faults already.
    const unsaid = faults.filter((fault) => !error.message.includes(fault));
    return [error.message, ...unsaid, error.hint].filter((part) => part !== null && part !== "").join(" · ");
  }
  return error instanceof Error ? error.message : String(error);
}

/** Whether an error only says that the caller has lost interest. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === "AbortError";
}

/** Returns after some time, or throws AbortError once the signal is aborted. */
export function sleep(milliseconds: number, stop?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      reject(new DOMException("aborted", "AbortError"));
    };
    if (stop?.aborted === true) return end();
    const timer = setTimeout(() => {
      stop?.removeEventListener("abort", end);
      resolve();
    }, milliseconds);
    stop?.addEventListener("abort", end, { once: true });
    return undefined;
  });
}

/** How long to wait after so many failures in a row: 0.5 s, doubled up to 8 s, and up to a quarter less. */
export function backoff(failures: number): number {
  return Math.min(8000, 500 * 2 ** Math.min(failures - 1, 10)) * (1 - Math.random() / 4);
}

/** How long an answer is awaited, in milliseconds. A node that stands still keeps its connections and says nothing. */
export const READ_MS = 20_000;
/** Writes may wait for a receiver, as the test of a webhook does. */
export const WRITE_MS = 90_000;
/** While a request waits for so long, and nothing else is heard, the node is asked whether it answers at all. */
export const DOUBT_MS = 3000;
/** What every node answers to everybody, at once. */
const PROBE = "/console/config";
/** Who asked within so many milliseconds before a request that fails knows when the node was last there. */
const ASKED_MS = 10_000;

/** Does something that the given signal stops. What takes longer is stopped, and ends with LostError. */
export async function within<T>(
  milliseconds: number,
  options: Options,
  write: boolean,
  act: (options: Options) => Promise<T>,
): Promise<T> {
  const stop = new AbortController();
  const end = () => stop.abort();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    end();
  }, milliseconds);
  options.signal?.addEventListener("abort", end, { once: true });
  if (options.signal?.aborted === true) end();
  const waits = new AbortController();
  doubt(Date.now(), waits.signal).catch(() => {});
  try {
    return await act({ ...options, signal: stop.signal });
  } catch (error) {
    if (late && isAbort(error)) throw new LostError(write);
    throw error;
  } finally {
    clearTimeout(timer);
    waits.abort();
    options.signal?.removeEventListener("abort", end);
  }
}

/** As long as a request waits that began then: says that the node gives no answer, if it answers nobody. */
async function doubt(begun: number, waits: AbortSignal): Promise<void> {
  for (;;) {
    await sleep(DOUBT_MS, waits);
    const last = Math.max(begun, heard);
    // Another request asks already.
    if (Date.now() - Math.max(last, doubted) < DOUBT_MS) continue;
    doubted = Date.now();
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), DOUBT_MS);
    const end = () => late.abort();
    waits.addEventListener("abort", end, { once: true });
    try {
      await fetch(PROBE, { cache: "no-store", credentials: "omit", signal: late.signal });
      wasHeard();
    } catch {
      if (!waits.aborted) sayLost(last, DOUBT_MS);
    } finally {
      clearTimeout(timer);
      waits.removeEventListener("abort", end);
    }
  }
}

async function read<T>(path: string, options: Options): Promise<T> {
  for (let failures = 1; ; failures++) {
    const begun = Date.now();
    try {
      return await within(options.limit ?? READ_MS, options, false, async (bounded) =>
        body<T>(await send("GET", path, undefined, bounded), bounded),
      );
    } catch (error) {
      if (!(error instanceof LostError) || options.once === true) throw error;
      await waitLost(failures, options.signal, begun);
    }
  }
}

async function write<T>(method: string, path: string, content: unknown, options: Options): Promise<T> {
  return within(WRITE_MS, options, true, async (bounded) =>
    body<T>(await send(method, path, content, bounded), bounded),
  );
}

/** Sends a request. Returns any answer of a node, also that it refused. */
export async function send(method: string, path: string, content: unknown, options: Options): Promise<Response> {
  const headers: Record<string, string> = { accept: "application/json", ...auth.headers(), ...options.headers };
  const init: RequestInit = { method, headers, cache: "no-store", credentials: "same-origin", redirect: "error" };
  if (content !== undefined) {
    init.body = JSON.stringify(content);
    headers["content-type"] = "application/json";
  }
  if (options.signal !== undefined) init.signal = options.signal;
  let answer: Response;
  try {
    answer = await fetch(withQuery(path, options.query), init);
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new LostError(method !== "GET");
  }
  if ([502, 503, 504].includes(answer.status) && !isJson(answer)) throw new LostError(method !== "GET");
  wasHeard();
  return answer;
}

function wasHeard(): void {
  heard = Date.now();
  lost.value = null;
}

/** Says that a request that began then got no answer. While others get theirs it is only slow. */
function sayLost(begun: number, wait: number): void {
  if (heard > begun) return;
  const since = begun - heard < ASKED_MS ? heard : begun;
  lost.value = { since: lost.peek()?.since ?? since, next: Date.now() + wait };
}

/** Says that the node gives no answer to a request that began then, and waits until the next try. */
export async function waitLost(failures: number, stop?: AbortSignal, begun = Date.now()): Promise<void> {
  const wait = backoff(failures);
  sayLost(begun, wait);
  await sleep(wait, stop);
}

async function body<T>(answer: Response, options: Options): Promise<T> {
  if (!answer.ok) throw await refusal(answer, options);
  if (answer.status === 204 || answer.headers.get("content-length") === "0") return undefined as T;
  let text: string;
  try {
    text = await answer.text();
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new LostError(true);
  }
  return (isJson(answer) ? JSON.parse(text) : text) as T;
}

/** Makes an error of an answer that refuses. */
export async function refusal(answer: Response, options: Options = {}): Promise<ApiError> {
  let said: Record<string, unknown> = {};
  try {
    const parsed: unknown = await answer.json();
    if (typeof parsed === "object" && parsed !== null) said = parsed as Record<string, unknown>;
  } catch (error) {
    if (isAbort(error)) throw error;
  }
  if (answer.status === 401 && options.quiet !== true) auth.refused();
  const text = (name: string) => (typeof said[name] === "string" ? (said[name] as string) : null);
  const after = Number(answer.headers.get("retry-after") ?? "");
  return new ApiError(
    answer.status,
    text("code") ?? text("error") ?? `http_${answer.status}`,
    text("message") ?? text("error") ?? `The node answered ${answer.status}.`,
    text("hint"),
    faults(said),
    after > 0 ? after : null,
    said,
  );
}

function faults(said: Record<string, unknown>): FieldFault[] {
  const errors = said["errors"];
  if (!Array.isArray(errors)) return [];
  return errors.flatMap((one: unknown) => {
    if (typeof one !== "object" || one === null) return [];
    const of = one as Record<string, unknown>;
    return [{ field: String(of["field"] ?? ""), message: String(of["message"] ?? of["code"] ?? "") }];
  });
}

function isJson(answer: Response): boolean {
  return /^application\/([a-z.-]+\+)?json\b/.test(answer.headers.get("content-type") ?? "");
}

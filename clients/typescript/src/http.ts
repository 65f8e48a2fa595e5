import { AdapterError, ConfigurationError, ConnectionError, RequestError } from "./errors.js";
import { backoff, sleep } from "./time.js";

/** The longest part of an answer that is no JSON and is shown in an error. */
const SHOWN = 200;

export interface RequestOptions {
  body?: unknown;
  signal?: AbortSignal;
  /** Beyond what a request may take. */
  waits?: number;
}

/** Sends one request, and reads its answer in time. */
export async function exchange(
  fetcher: typeof fetch,
  url: string,
  init: { method: string; headers: Record<string, string>; body?: string },
  timeout: number,
  signal?: AbortSignal,
): Promise<unknown> {
  const control = new AbortController();
  const abort = (): void => control.abort();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    abort();
  }, timeout);
  signal?.addEventListener("abort", abort);
  if (signal?.aborted) abort();
  try {
    const response = await fetcher(url, { ...init, signal: control.signal });
    return answer(response, await response.text());
  } catch (error) {
    if (error instanceof AdapterError) throw error;
    if (late) throw new ConnectionError("timeout", `no answer from ${place(url)} in ${timeout} ms`);
    throw new ConnectionError("connection", `no answer from ${place(url)}: ${reason(error)}`, error);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/** Does it again after passing errors, a bounded number of times. */
export async function persistently<T>(tries: number, signal: AbortSignal, act: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await act();
    } catch (error) {
      if (!isPassing(error) || failures >= tries || signal.aborted) throw error;
      await sleep(backoff(failures, retryAfter(error)), signal);
    }
  }
}

export function isPassing(error: unknown): error is AdapterError {
  return error instanceof AdapterError && error.isPassing;
}

export function retryAfter(error: unknown): number {
  return error instanceof RequestError ? (error.retryAfterMs ?? 0) : 0;
}

/** Waypost's API for one map. */
export class Api {
  private current = 0;

  constructor(
    private readonly urls: string[],
    private readonly token: string,
    readonly map: string,
    private readonly fetcher: typeof fetch,
    private readonly timeout: number,
  ) {
    for (const url of urls) {
      if (!/^https?:\/\//.test(url)) throw new ConfigurationError(`url: ${url} does not begin with http:// or https://`);
    }
  }

  /** Asks a route of the map. Returns the body of the answer. */
  async request<T>(method: string, path: string, { body, signal, waits = 0 }: RequestOptions = {}): Promise<T> {
    const headers: Record<string, string> = { authorization: `Bearer ${this.token}` };
    const init: { method: string; headers: Record<string, string>; body?: string } = { method, headers };
    if (body !== undefined) {
      headers["content-type"] = "application/json";
      init.body = JSON.stringify(body);
    }
    const chosen = this.current;
    const url = `${this.urls[chosen]}/api/maps/${encodeURIComponent(this.map)}${path}`;
    try {
      return (await exchange(this.fetcher, url, init, this.timeout + waits, signal)) as T;
    } catch (error) {
      // Another node may do better. Of requests that fail together the first one moves on.
      const elsewhere = isPassing(error) && error.kind !== "rate_limited" && !signal?.aborted;
      if (elsewhere && this.current === chosen) this.current = (chosen + 1) % this.urls.length;
      throw error;
    }
  }
}

function answer(response: Response, text: string): unknown {
  let body: Record<string, unknown> = {};
  let isJson = false;
  try {
    const read: unknown = JSON.parse(text);
    if (typeof read === "object" && read !== null) {
      body = read as Record<string, unknown>;
      isJson = true;
    }
  } catch {
    // A proxy answers in its own words.
  }
  const { status } = response;
  if (response.ok && (isJson || status === 204)) return body;
  if (response.ok) throw new ConnectionError("connection", `an answer that is no JSON: ${text.slice(0, SHOWN)}`);
  const code = typeof body["error"] === "string" ? body["error"] : `http_${status}`;
  const said = typeof body["message"] === "string" ? body["message"] : text.slice(0, SHOWN);
  const seconds = Number(response.headers.get("retry-after") ?? NaN);
  const later = Number.isFinite(seconds) ? seconds * 1000 : undefined;
  const index = typeof body["index"] === "number" ? body["index"] : undefined;
  throw new RequestError(status, code, `${status} ${code}: ${said}`, later, index);
}

/** An address without what may be secret in it. */
function place(url: string): string {
  try {
    return new URL(url).origin;
  } catch {
    return "an address that is no URL";
  }
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? error.cause.message : error.message;
}

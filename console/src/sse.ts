// Server-Sent Events over fetch, because EventSource cannot send headers. A stream that breaks goes on after the last
// event that came.
import { backoff, isAbort, LostError, refusal, send, sleep, waitLost, type Options } from "./api";

/** How long a stream may be silent at first, in milliseconds. Nodes send a comment every 20 s if not told otherwise. */
const QUIET_MS = 60_000;
/** The most that it becomes, by doubling: nodes may be told to send a comment every 300 s. */
const MOST_QUIET_MS = 330_000;
/** A stream that ends sooner and brought nothing is a failure, in milliseconds: the next try waits for longer. */
const SHORT_MS = 5000;

export interface ServerEvent {
  id: string;
  /** The event's name: "message" if the stream gives none. */
  event: string;
  data: string;
}

export interface StreamOptions {
  query?: Options["query"];
  signal: AbortSignal;
  /** The id after which the stream begins. */
  lastEventId?: string | undefined;
  onEvent(event: ServerEvent): void;
  /** Told when the stream is open, and when it is lost and tried again. */
  onState?(state: "open" | "lost"): void;
}

/** Reads a stream until the signal is aborted (then it returns) or the node refuses it (ApiError). */
export async function stream(path: string, options: StreamOptions): Promise<void> {
  const at = { id: options.lastEventId ?? "", retry: 0 };
  let patience = QUIET_MS;
  for (let failures = 1; !options.signal.aborted; failures++) {
    let opened: number | null = null;
    const before = at.id;
    // A node that stands still ends no stream: silence does.
    const watch = new Watch(options.signal, patience);
    const { signal } = watch;
    try {
      const headers: Record<string, string> = { accept: "text/event-stream" };
      if (at.id !== "") headers["last-event-id"] = at.id;
      const answer = await send("GET", path, undefined, { query: options.query, signal, headers });
      if (answer.status === 503) {
        // A node that begins or drains: another try finds it ready, or another node.
        await answer.body?.cancel();
        options.onState?.("lost");
        await sleep(backoff(failures), options.signal).catch(() => {});
        continue;
      }
      if (!answer.ok || answer.body === null) throw await refusal(answer);
      options.onState?.("open");
      opened = Date.now();
      await follow(answer.body, at, options.onEvent, () => watch.heard());
    } catch (error) {
      if (options.signal.aborted) return;
      if (watch.late && opened !== null) patience = Math.min(2 * patience, MOST_QUIET_MS);
      if (!(error instanceof LostError) && !(error instanceof TypeError) && !isAbort(error)) throw error;
    } finally {
      watch.end();
    }
    if (opened !== null && (at.id !== before || Date.now() - opened >= SHORT_MS)) failures = 0;
    if (options.signal.aborted) return;
    options.onState?.("lost");
    const again = Math.max(at.retry, 200);
    // A node that answers is not lost, however soon its streams end.
    const wait =
      opened === null
        ? waitLost(failures, options.signal)
        : sleep(failures <= 1 ? again : Math.max(again, backoff(failures)), options.signal);
    await wait.catch(() => {});
  }
}

/** Aborts a request when nothing is heard of it for some time, and when nobody wants it any more. */
class Watch {
  readonly #stop = new AbortController();
  readonly #end = () => this.#stop.abort();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Whether nothing was heard for too long. */
  late = false;

  constructor(
    readonly wanted: AbortSignal,
    readonly milliseconds: number,
  ) {
    wanted.addEventListener("abort", this.#end, { once: true });
    if (wanted.aborted) this.#end();
    this.heard();
  }

  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  heard(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.late = true;
      this.#end();
    }, this.milliseconds);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.wanted.removeEventListener("abort", this.#end);
  }
}

async function follow(
  body: ReadableStream<Uint8Array>,
  at: { id: string; retry: number },
  onEvent: (event: ServerEvent) => void,
  onBytes: () => void,
): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let event = { event: "", data: [] as string[] };
  // An id counts once its event is whole: a stream that breaks inside an event gets that event again.
  let id = at.id;
  const line = (text: string) => {
    if (text === "") {
      at.id = id;
      if (event.data.length > 0) onEvent({ id: at.id, event: event.event || "message", data: event.data.join("\n") });
      event = { event: "", data: [] };
      return;
    }
    const colon = text.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (name === "data") event.data.push(value);
    else if (name === "event") event.event = value;
    else if (name === "id") id = value;
    else if (name === "retry" && /^\d+$/.test(value)) at.retry = Math.min(Number(value), 30_000);
  };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      onBytes();
      rest += decoder.decode(value, { stream: true });
      // A carriage return at the end may be half of a line's end.
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      for (const text of lines) line(text);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

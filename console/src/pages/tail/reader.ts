// Follows the events of a map, and keeps what the page shows of them.
import { useEffect, useMemo, useReducer } from "preact/hooks";
import { url } from "../../api";
import { Fields } from "../../lib/cel/fields";
import { eventOf, type Event } from "../../lib/history/event";
import { Rate, TailList } from "../../lib/history/tail";
import { parametersOf, type Wanted } from "../../lib/history/wanted";
import { stream, type ServerEvent } from "../../sse";

/** Stored events that a tail begins with, so that it is not empty. */
const BACKFILL = 50;
/** Events of one drawing from which fields are learnt. */
const LEARNT = 10;
/** Events that wait for the next drawing at most: a page that is not visible may not be drawn for long. */
const UNDRAWN = 500;
/** Bytes of events that wait for the next drawing at most. */
const UNDRAWN_BYTES = 2e6;
/** So long after the first frame, what comes are the stored events: they are no rate. */
const STORED_MS = 500;
/** Time between two drawings while the page is not visible. */
const HIDDEN_MS = 500;
/** The same while it is visible, at least: nobody reads faster, and a phone has other things to do. */
const VISIBLE_MS = 100;

/** How a tail is connected. `held`: it is paused, and so much waits that the stream was closed meanwhile. */
export type Connection = "opening" | "open" | "lost" | "held" | "ended";

/** A frame in which the node says that it does not take the stream now. */
export interface Refused {
  code: string;
  message: string;
}

/** A tail. Changes are told at most once for each drawing of the page, and at most ten times a second. */
export class Reader {
  readonly list = new TailList();
  readonly rate = new Rate();
  /** Since when events are counted. */
  started = Date.now();
  connection: Connection = "opening";
  /** Whether events between two that are shown are no longer kept. */
  gap = false;
  refused: Refused | null = null;
  error: unknown = undefined;
  #pending: { event: Event; bytes: number; position: string }[] = [];
  #pendingBytes = 0;
  /** When the first frame came. */
  #first: number | null = null;
  #drawing = false;
  /** When it was drawn last. */
  #drawn = -Infinity;
  #stop = new AbortController();
  #closed = false;

  constructor(
    readonly map: string,
    readonly wanted: Wanted,
    readonly fields: Fields,
    readonly changed: () => void,
  ) {
    this.open();
  }

  /** Opens the stream, after the newest position that is known. */
  open(): void {
    this.#stop = new AbortController();
    this.connection = "opening";
    this.error = undefined;
    const { signal } = this.#stop;
    const { position } = this.list;
    stream(url`/api/maps/${this.map}/events/stream`, {
      query: { ...parametersOf(this.wanted), backfill: BACKFILL },
      signal,
      ...(position !== "" && { lastEventId: position }),
      onEvent: (event) => this.#take(event),
      onState: (state) => {
        if (signal.aborted) return;
        this.connection = state;
        this.#draw();
      },
    }).catch((error: unknown) => {
      if (signal.aborted) return;
      this.connection = "ended";
      this.error = error;
      this.#draw();
    });
  }

  close(): void {
    this.#closed = true;
    this.#stop.abort();
  }

  pause(): void {
    this.#flush();
    this.list.pause();
    this.#draw();
  }

  /** Shows what waited. If the stream was closed because too much waited, it goes on where it was. */
  resume(): void {
    this.#flush();
    this.list.resume();
    if (this.connection === "held") this.open();
    this.#draw();
  }

  clear(): void {
    this.#flush();
    this.list.clear();
    this.gap = false;
    this.#draw();
  }

  #take({ id, event: name, data }: ServerEvent): void {
    const event = eventOf(data);
    const now = Date.now();
    this.#first ??= now;
    const isStored = now < this.#first + STORED_MS;
    if (isStored) this.started = this.#first + STORED_MS;
    if (event !== null) {
      if (!isStored) this.rate.count(now, data.length);
      this.#pending.push({ event, bytes: data.length, position: id });
      this.#pendingBytes += data.length;
      this.refused = null;
      if (this.#pending.length >= UNDRAWN || this.#pendingBytes >= UNDRAWN_BYTES) this.#flush();
    } else {
      this.#flush();
      this.#about(name, data);
      if (name !== "refused") this.list.at(id);
    }
    this.#draw();
  }

  /** Takes a frame about the stream itself. */
  #about(name: string, data: string): void {
    let about: Record<string, unknown>;
    try {
      about = JSON.parse(data) as Record<string, unknown>;
    } catch {
      return;
    }
    if (name === "connected") {
      this.gap ||= about["gap"] === true;
      this.refused = null;
    } else if (name === "refused") {
      this.refused = { code: String(about["code"] ?? ""), message: String(about["message"] ?? "refused") };
    }
  }

  #flush(): void {
    const pending = this.#pending;
    if (pending.length === 0) return;
    this.#pending = [];
    this.#pendingBytes = 0;
    for (const { event } of pending.slice(-LEARNT)) this.fields.learn(event);
    if (!this.list.addAll(pending) && this.connection !== "held") {
      this.connection = "held";
      this.#stop.abort();
    }
  }

  #draw(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    const drawn = () => {
      this.#drawing = false;
      this.#drawn = performance.now();
      this.#flush();
      if (!this.#closed) this.changed();
    };
    const wait = document.hidden ? HIDDEN_MS : this.#drawn + VISIBLE_MS - performance.now();
    if (wait > 0) setTimeout(drawn, wait);
    else requestAnimationFrame(drawn);
  }
}

/** A tail of a map, as long as the page shows it. A change of what is wanted begins a new one. */
export function useTail(map: string, wanted: Wanted, fields: Fields): Reader {
  const [, draw] = useReducer<number, void>((turn) => turn + 1, 0);
  const key = JSON.stringify([map, wanted]);
  const reader = useMemo(() => new Reader(map, wanted, fields, () => draw()), [key]);
  useEffect(() => {
    // The rate falls also when nothing comes.
    const timer = setInterval(() => draw(), 1000);
    return () => {
      clearInterval(timer);
      reader.close();
    };
  }, [reader]);
  return reader;
}

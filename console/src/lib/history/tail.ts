// What a live tail keeps: a bounded list of the newest events, and those that wait while it is paused.

import type { Event } from "./event";

/** An event in the list. `bytes` is about what it takes. */
export interface Kept {
  /** Counts up from 1 in the order of arrival. It names the row. */
  number: number;
  event: Event;
  bytes: number;
}

/** The bounds of a tail. */
export interface Bounds {
  /** Events in the list. */
  events: number;
  /** Bytes of the events in the list. */
  bytes: number;
  /** Events that wait while the tail is paused. */
  waiting: number;
  /** Bytes of the events that wait. */
  waitingBytes: number;
}

/** Some 32 MB at most in all. */
export const BOUNDS: Bounds = { events: 2000, bytes: 16e6, waiting: 2000, waitingBytes: 16e6 };

/** The time over which the rate is counted, in whole seconds. */
const WINDOW = 10;

/** Counts of what came, second by second. */
export class Rate {
  readonly #counts: { second: number; events: number; bytes: number }[] = [];

  /** Counts an event that came at `ms`. */
  count(ms: number, bytes: number): void {
    const second = Math.floor(ms / 1000);
    const last = this.#counts.at(-1);
    if (last?.second === second) {
      last.events += 1;
      last.bytes += bytes;
    } else {
      this.#counts.push({ second, events: 1, bytes });
    }
    if (this.#counts.length > WINDOW + 1) this.#counts.shift();
  }

  /** Events and bytes a second, over the last whole seconds up to `ms`, of which there are `since` at most. */
  perSecond(ms: number, since: number): { events: number; bytes: number } {
    const now = Math.floor(ms / 1000);
    const seconds = Math.min(WINDOW, Math.max(1, now - Math.floor(since / 1000)));
    const counted = this.#counts.filter((one) => one.second >= now - seconds && one.second < now);
    const sum = (of: (one: { events: number; bytes: number }) => number): number => {
      return counted.reduce((total, one) => total + of(one), 0) / seconds;
    };
    return { events: sum((one) => one.events), bytes: sum((one) => one.bytes) };
  }
}

/** A list that forgets its oldest events. */
class Bounded {
  list: Kept[] = [];
  bytes = 0;
  forgotten = 0;

  add(all: readonly Kept[], events: number, bytes: number): void {
    this.list = [...this.list, ...all];
    this.bytes += all.reduce((sum, one) => sum + one.bytes, 0);
    let gone = 0;
    while (this.list.length - gone > events || (this.bytes > bytes && this.list.length - gone > 1)) {
      this.bytes -= this.list[gone]?.bytes ?? 0;
      gone += 1;
    }
    if (gone > 0) this.list = this.list.slice(gone);
    this.forgotten += gone;
  }
}

/** What a tail shows. It is changed by its methods alone, and knows no time and no network. */
export class TailList {
  readonly #bounds: Bounds;
  readonly #shown = new Bounded();
  #waiting: Kept[] = [];
  #waitingBytes = 0;
  #paused = false;
  #number = 0;
  #position = "";

  constructor(bounds: Bounds = BOUNDS) {
    this.#bounds = bounds;
  }

  /** The events of the list, oldest first. The list is a new one after each change. */
  get shown(): readonly Kept[] {
    return this.#shown.list;
  }

  /** How many events came. */
  get came(): number {
    return this.#number;
  }

  /** How many older events the list does not have any more. */
  get forgotten(): number {
    return this.#shown.forgotten;
  }

  /** How many events wait while the tail is paused. */
  get waiting(): number {
    return this.#waiting.length;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** The id to go on after: the newest position that came. Empty if there is none. */
  get position(): string {
    return this.#position;
  }

  /** Whether no more can wait: the stream is to be closed, and opened again after [`position`] on resuming. */
  get full(): boolean {
    return this.#waiting.length >= this.#bounds.waiting || this.#waitingBytes >= this.#bounds.waitingBytes;
  }

  /** Notes a position that came without an event, or before one. */
  at(position: string): void {
    if (position !== "") this.#position = position;
  }

  /** Takes an event, and the id of its frame. Returns whether another one may come. */
  add(event: Event, bytes: number, position: string): boolean {
    return this.addAll([{ event, bytes, position }]);
  }

  /** Takes events in order. Returns whether others may come. */
  addAll(all: readonly { event: Event; bytes: number; position: string }[]): boolean {
    const kept: Kept[] = [];
    for (const { event, bytes, position } of all) {
      this.at(position);
      this.#number += 1;
      kept.push({ number: this.#number, event, bytes });
    }
    if (!this.#paused) {
      this.#shown.add(kept, this.#bounds.events, this.#bounds.bytes);
      return true;
    }
    this.#waiting.push(...kept);
    this.#waitingBytes += kept.reduce((sum, one) => sum + one.bytes, 0);
    return !this.full;
  }

  /** From now on events wait. */
  pause(): void {
    this.#paused = true;
  }

  /** Shows the events that waited, and those that come. */
  resume(): void {
    this.#paused = false;
    const waited = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#shown.add(waited, this.#bounds.events, this.#bounds.bytes);
  }

  /** Empties the list. The position stays, and so do the events that wait. */
  clear(): void {
    this.#shown.list = [];
    this.#shown.bytes = 0;
    this.#shown.forgotten = 0;
  }
}

/** The rows to draw of a list of rows of one height, for what is seen of it and a little around. */
export function windowOf(top: number, height: number, row: number, count: number): { from: number; to: number } {
  const around = 8;
  const from = Math.max(0, Math.min(count, Math.floor(top / row) - around));
  const to = Math.min(count, Math.max(from, Math.ceil((top + height) / row) + around));
  return { from, to };
}

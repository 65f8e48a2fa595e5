// Looks through a map's history, page by page, oldest first.

import { factsOf, type Event } from "./event";

/** A page of stored events, as the API answers. */
export interface Page {
  data: Event[];
  cursor: string | null;
  has_more: boolean;
  gap?: boolean;
  oldest_id?: string | null;
}

/** Where a search begins and where it ends. */
export interface Span {
  /** Begin after the event with this id; not with `since`. */
  after: string | null;
  /** Begin at this time (ISO). */
  since: string | null;
  /** End before this time (Unix milliseconds). */
  until: number | null;
}

/** What a search has found so far. */
export interface Found {
  events: Event[];
  /** Whether there may be more to look through. */
  more: boolean;
  /** How far the search has come (Unix milliseconds); `null` before the first page. */
  reached: number | null;
  /** Whether a part of what was asked for is no longer kept, and the oldest event that is. */
  gap: { oldest: string | null } | null;
}

/** Events that one press of "more" looks for. */
export const WANTED = 100;
/** Pages that one press reads at most. A narrow filter finds nothing on most pages. */
const MOST_PAGES = 50;
/** A time is not kept in the order of ids: it may go back a little from event to event. */
const CLOCKS_MS = 60_000;

/** Nothing found yet. */
export const NOTHING: Found = { events: [], more: true, reached: null, gap: null };

/**
 * A search. `read` gets a page after an id, or from the beginning of the span; `next` goes on until it has
 * found enough, and tells after each page how far it is.
 */
export class Search {
  #after: string | null;
  #since: string | null;
  readonly #until: number | null;
  #found: Found = NOTHING;

  constructor(
    span: Span,
    readonly read: (from: { after: string | null; since: string | null; limit: number }) => Promise<Page>,
  ) {
    this.#after = span.after;
    this.#since = span.after === null ? span.since : null;
    this.#until = span.until;
  }

  get found(): Found {
    return this.#found;
  }

  /** Looks for more events. `told` hears of each page; it says whether to go on. */
  async next(told: (found: Found) => boolean): Promise<Found> {
    const enough = this.#found.events.length + WANTED;
    for (let pages = 0; this.#found.more && this.#found.events.length < enough && pages < MOST_PAGES; pages += 1) {
      const limit = Math.min(WANTED, enough - this.#found.events.length);
      const page = await this.read({ after: this.#after, since: this.#since, limit });
      this.#take(page);
      if (!told(this.#found)) break;
    }
    return this.#found;
  }

  #take(page: Page): void {
    const until = this.#until;
    const fit = until === null ? page.data : page.data.filter((event) => Date.parse(event.ts) < until);
    const reached = page.cursor === null ? this.#found.reached : (factsOf(page.cursor)?.ms ?? null);
    const over = until !== null && reached !== null && reached >= until + CLOCKS_MS;
    // A page without a cursor can't be followed by another one.
    const more = page.has_more && page.cursor !== null && page.cursor !== this.#after && !over;
    const gap = this.#found.gap ?? (page.gap === true ? { oldest: page.oldest_id ?? null } : null);
    this.#found = { events: [...this.#found.events, ...fit], more, reached, gap };
    this.#after = page.cursor ?? this.#after;
    if (this.#after !== null) this.#since = null;
  }
}

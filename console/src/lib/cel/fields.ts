// What the payloads that were seen have in them, for completion. Everything is bounded: a payload may be anything.

import { kindOf, membersOf, type Json, type Kind } from "../json-tree/model";

/** Members that one place remembers. */
const MOST_MEMBERS = 200;
/** Places that are remembered in all. */
const MOST_PLACES = 2000;
/** Elements of a list that are looked at. */
const ELEMENTS = 10;
const DEEPEST = 12;
/** Texts that one place remembers as examples. */
const EXAMPLES = 12;
const LONGEST_EXAMPLE = 80;

/** A place in payloads, such as `payload.victim.ship`. All elements of a list are one place. */
export class Place {
  readonly members = new Map<string, Place>();
  readonly kinds = new Set<Kind>();
  /** Texts that were seen here. */
  readonly texts = new Set<string>();
  /** What the elements are, if lists were seen here. */
  elements: Place | null = null;
}

/** The fields of the events that were seen. */
export class Fields {
  readonly payload = new Place();
  /** Types and subjects that were seen. */
  readonly types = new Set<string>();
  readonly subjects = new Set<string>();
  #places = 1;

  /** Learns from an event. */
  learn(event: { type: string; subject?: string | undefined; payload: Json }): void {
    if (this.types.size < MOST_MEMBERS) this.types.add(event.type);
    if (this.subjects.size < MOST_MEMBERS) this.subjects.add(event.subject ?? "");
    this.#learn(this.payload, event.payload, 0);
  }

  #learn(place: Place, value: Json, depth: number): void {
    place.kinds.add(kindOf(value));
    if (typeof value === "string" && value.length <= LONGEST_EXAMPLE && place.texts.size < EXAMPLES) {
      place.texts.add(value);
    }
    if (depth >= DEEPEST || value === null || typeof value !== "object") return;
    if (Array.isArray(value)) {
      for (const item of value.slice(0, ELEMENTS)) {
        place.elements ??= this.#place();
        if (place.elements !== null) this.#learn(place.elements, item, depth + 1);
      }
      return;
    }
    for (const [name, member] of membersOf(value).slice(0, MOST_MEMBERS)) {
      const known = place.members.get(name) ?? (place.members.size < MOST_MEMBERS ? this.#place() : null);
      if (known === null) continue;
      place.members.set(name, known);
      this.#learn(known, member, depth + 1);
    }
  }

  /** A new place, or `null` when there are enough. */
  #place(): Place | null {
    if (this.#places >= MOST_PLACES) return null;
    this.#places += 1;
    return new Place();
  }
}

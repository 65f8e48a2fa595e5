// Which events are wanted, as people write it, as the address of the page has it, and as the API takes it.

/** Which events are wanted. */
export interface Wanted {
  /** Subjects with commas, `*` for any characters; `*` is all subjects, empty is the map's own. */
  subjects: string;
  /** Types with commas, `*` for any characters; empty is all types. */
  events: string;
  /** An expression; empty is none. */
  filter: string;
}

/** Everything but the server's own subjects. */
export const EVERYTHING: Wanted = { subjects: "*", events: "", filter: "" };

/** The subject of an event as an item of a list of subjects. */
export function subjectItem(subject: string): string {
  return subject.replaceAll(",", "\\,");
}

/** Whether two say the same. */
export function same(a: Wanted, b: Wanted): boolean {
  return a.subjects === b.subjects && a.events === b.events && a.filter === b.filter;
}

/** Reads them from the parameters of the page's address. */
export function wantedOf(query: URLSearchParams): Wanted {
  return {
    subjects: query.get("own") === "1" ? "" : subjectsOf(query.get("subjects") ?? EVERYTHING.subjects),
    events: query.get("events") ?? "",
    filter: query.get("filter") ?? "",
  };
}

/** The parameters of the page's address; null where the page has it by itself. An address has no empty parameter. */
export function addressOf(wanted: Wanted): Record<"subjects" | "own" | "events" | "filter", string | null> {
  const subjects = subjectsOf(wanted.subjects);
  return {
    subjects: subjects === "" || subjects === EVERYTHING.subjects ? null : subjects,
    own: subjects === "" ? "1" : null,
    events: wanted.events.trim() || null,
    filter: wanted.filter.trim() || null,
  };
}

/** A list of subjects without the spaces around its items: no subject has any. A comma inside one stands as `\\,`. */
function subjectsOf(text: string): string {
  return text
    .split(/(?<!\\),/)
    .map((item) => item.trim())
    .join(",");
}

/**
 * The parameters of the API. Empty items at the ends of a list of types are dropped, because they come of a comma
 * too many; the server refuses them. The map's own subject is what a request without `subjects` reads.
 */
export function parametersOf(wanted: Wanted): { subjects?: string; events?: string; filter?: string } {
  const events = wanted.events
    .split(",")
    .map((type) => type.trim())
    .filter((type) => type !== "")
    .join(",");
  const filter = wanted.filter.trim();
  return {
    ...(wanted.subjects.trim() === "" ? {} : { subjects: subjectsOf(wanted.subjects) }),
    ...(events === "" ? {} : { events }),
    ...(filter === "" ? {} : { filter }),
  };
}

/** An expression that also asks for something else. Both keep their meaning. */
export function also(filter: string, condition: string): string {
  const first = filter.trim();
  if (first === "") return condition;
  const whole = /\|\||\?|\/\//.test(first) ? `(${first})` : first;
  return `${whole} && ${condition}`;
}

// Whether what waits grows or shrinks, from looks at it over a while.

export interface Look {
  /** Unix milliseconds. */
  at: number;
  /** Events that wait, by the id of what they wait for. */
  waits: ReadonlyMap<string, number>;
}

/** Looks that are older count no more, in milliseconds. */
const LONGEST = 60_000;
/** Looks over a shorter time say nothing. */
const SHORTEST = 9000;

/** The looks with one more, without those that count no more. */
export function looked(looks: readonly Look[], look: Look): readonly Look[] {
  return [...looks.filter(({ at }) => look.at - at <= LONGEST && at < look.at), look];
}

/** How many events more wait each second (fewer if it is negative); null while that is not known. */
export function growthOf(looks: readonly Look[], id: string): number | null {
  const known = looks.flatMap(({ at, waits }) => {
    const count = waits.get(id);
    return count === undefined ? [] : [{ at, count }];
  });
  const [first, last] = [known[0], known.at(-1)];
  if (first === undefined || last === undefined || last.at - first.at < SHORTEST) return null;
  return (last.count - first.count) / ((last.at - first.at) / 1000);
}

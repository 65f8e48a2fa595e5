// Looking for what came before an event: a search begins at its oldest end, so the span is widened until it has some.

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** How far back each step looks, in milliseconds. */
const STEPS = [10 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY, 366 * DAY] as const;

/** The parameters of a search for what came before a time (Unix milliseconds), at a step; null behind the last. */
export function earlierThan(before: number, step: number): { from: string; until: string; earlier: string } | null {
  const back = STEPS[step];
  if (back === undefined) return null;
  return {
    from: new Date(before - back).toISOString(),
    until: new Date(before).toISOString(),
    earlier: String(step),
  };
}

/** The next step of a search that found nothing; null if it is none of these, or was the last. */
export function nextStep(
  earlier: string | null,
  until: string | null,
): { from: string; until: string; earlier: string } | null {
  const before = Date.parse(until ?? "");
  if (earlier === null || !/^\d$/.test(earlier) || Number.isNaN(before)) return null;
  return earlierThan(before, Number(earlier) + 1);
}

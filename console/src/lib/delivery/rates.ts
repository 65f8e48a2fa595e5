// How fast a count grows, from two looks at it.

export interface Look {
  /** Unix milliseconds. */
  at: number;
  /** The counts by id. */
  counts: ReadonlyMap<string, number>;
}

/** Counts a second between two looks, by id. A count that fell was begun anew, and has no rate. */
export function ratesOf(before: Look | null, now: Look): ReadonlyMap<string, number> {
  const rates = new Map<string, number>();
  const seconds = before === null ? 0 : (now.at - before.at) / 1000;
  if (before === null || seconds <= 0) return rates;
  for (const [id, count] of now.counts) {
    const earlier = before.counts.get(id);
    if (earlier !== undefined && count >= earlier) rates.set(id, (count - earlier) / seconds);
  }
  return rates;
}

/** A rate as people read it: 0, 0.25/s, 12/s. */
export function rateText(rate: number | null | undefined): string {
  if (rate === null || rate === undefined) return "–";
  if (rate === 0) return "0";
  return `${rate >= 10 ? Math.round(rate) : rate >= 1 ? rate.toFixed(1) : rate.toPrecision(1)}/s`;
}

/** A share from 0 to 1 as a percentage that is 100 only if nothing is missing. */
export function shareText(share: number | null | undefined): string {
  if (share === null || share === undefined) return "–";
  if (share >= 1) return "100 %";
  if (share <= 0) return "0 %";
  return share > 0.999 ? "> 99.9 %" : `${(share * 100).toFixed(share < 0.1 || share > 0.99 ? 1 : 0)} %`;
}

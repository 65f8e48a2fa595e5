// Times as people say them: how long ago, or in how long.

/** `just now`, `3 s ago`, `in 5 min`: whole units, so that it counts by seconds up to a minute. */
export function relativeText(then: number, now: number): string {
  const ago = now - then;
  const size = Math.abs(ago);
  if (size < 1000) return ago < 0 ? "now" : "just now";
  const text = unitText(size);
  return ago > 0 ? `${text} ago` : `in ${text}`;
}

function unitText(milliseconds: number): string {
  if (milliseconds < 60_000) return `${Math.floor(milliseconds / 1000)} s`;
  if (milliseconds < 3_600_000) return `${Math.floor(milliseconds / 60_000)} min`;
  if (milliseconds < 172_800_000) return `${Math.floor(milliseconds / 3_600_000)} h`;
  return `${Math.floor(milliseconds / 86_400_000)} d`;
}

/** Those who want to know that a second has passed. One timer serves them all. */
const waiting = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

/** Calls `look` each second until the function that is returned is called. */
export function eachSecond(look: () => void): () => void {
  waiting.add(look);
  timer ??= setInterval(() => waiting.forEach((one) => one()), 1000);
  return () => {
    waiting.delete(look);
    if (waiting.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  };
}

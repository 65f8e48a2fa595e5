const FIRST = 250;
const LONGEST = 30_000;

/** How long to wait after so many failures (from 1): twice as long each time, and a random part less. */
export function backoff(failures: number, atLeast = 0): number {
  const whole = Math.min(LONGEST, FIRST * 2 ** Math.min(failures - 1, 16));
  return Math.round(Math.max(atLeast, whole * (0.5 + Math.random() / 2)));
}

/** Waits, or returns early when the signal is aborted. */
export function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });
}

import { useEffect, useState } from "preact/hooks";

/** Renders again every so many milliseconds, as long as a number is given. */
export function useTick(every: number | null): void {
  const [, tick] = useState(0);
  useEffect(() => {
    if (every === null) return undefined;
    const timer = setInterval(() => tick((n) => n + 1), every);
    return () => clearInterval(timer);
  }, [every]);
}

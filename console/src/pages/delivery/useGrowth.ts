import { useRef } from "preact/hooks";
import { growthOf, looked, type Look } from "../../lib/delivery/trend";

/** How many events more wait each second for each of a list, by id, from the looks since the page was opened. */
export function useGrowth<T>(
  list: readonly T[] | undefined,
  waits: (one: T) => readonly [string, number],
): (id: string) => number | null {
  const kept = useRef<{ list: readonly T[] | undefined; looks: readonly Look[] }>({ list: undefined, looks: [] });
  if (list !== undefined && list !== kept.current.list) {
    const look: Look = { at: Date.now(), waits: new Map(list.map(waits)) };
    kept.current = { list, looks: looked(kept.current.looks, look) };
  }
  return (id) => growthOf(kept.current.looks, id);
}

import { useRef } from "preact/hooks";
import { ratesOf, type Look } from "../../lib/delivery/rates";

/** Counts a second, by id, between the last two lists that were different objects. */
export function useRates<T>(
  list: readonly T[] | undefined,
  count: (one: T) => readonly [string, number],
): ReadonlyMap<string, number> {
  const kept = useRef<{ list: readonly T[] | undefined; look: Look | null; rates: ReadonlyMap<string, number> }>({
    list: undefined,
    look: null,
    rates: new Map(),
  });
  if (list !== undefined && list !== kept.current.list) {
    const look: Look = { at: Date.now(), counts: new Map(list.map(count)) };
    kept.current = { list, look, rates: ratesOf(kept.current.look, look) };
  }
  return kept.current.rates;
}

// What a page shows of the API: read once, read again and again, or page by page.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, backoff, isAbort, page, sleep, type Query } from "../api";

export interface Resource<T> {
  /** The last answer. It stays while a new one is awaited, and when that fails. */
  data: T | undefined;
  error: unknown;
  loading: boolean;
  reload(): void;
}

/**
 * Reads something when `deps` change, and again every `every` milliseconds while the page is visible (after failures
 * less often). `load` gets a signal that is aborted when nobody is interested any more.
 */
export function useResource<T>(
  load: (signal: AbortSignal) => Promise<T>,
  deps: readonly unknown[],
  every?: number,
): Resource<T> {
  const [state, setState] = useState<Omit<Resource<T>, "reload">>({ data: undefined, error: undefined, loading: true });
  const [turn, setTurn] = useState(0);
  const seen = useRef<readonly unknown[]>(deps);
  useEffect(() => {
    const stop = new AbortController();
    const same = seen.current.length === deps.length && seen.current.every((one, i) => Object.is(one, deps[i]));
    seen.current = deps;
    setState((was) => ({ data: same ? was.data : undefined, error: undefined, loading: true }));
    const run = async () => {
      for (let failures = 0; ;) {
        try {
          const data = await load(stop.signal);
          if (stop.signal.aborted) return;
          failures = 0;
          setState({ data, error: undefined, loading: false });
        } catch (error) {
          if (stop.signal.aborted || isAbort(error)) return;
          failures++;
          setState((was) => ({ data: was.data, error, loading: false }));
          if (every === undefined || (error instanceof ApiError && error.status < 500 && error.status !== 429)) return;
        }
        await sleep(Math.max(every ?? 0, failures > 0 ? backoff(failures) : 0), stop.signal);
        await visible(stop.signal);
        if (every === undefined) return;
      }
    };
    run().catch(() => {});
    return () => stop.abort();
  }, [...deps, turn, every]);
  return { ...state, reload: useCallback(() => setTurn((n) => n + 1), []) };
}

/** Returns once the page is visible. */
async function visible(stop: AbortSignal): Promise<void> {
  while (document.hidden && !stop.aborted) {
    await new Promise<void>((resolve) => {
      const end = () => {
        document.removeEventListener("visibilitychange", end);
        stop.removeEventListener("abort", end);
        resolve();
      };
      document.addEventListener("visibilitychange", end);
      stop.addEventListener("abort", end);
    });
  }
}

export interface Pages<T> {
  items: readonly T[];
  error: unknown;
  loading: boolean;
  /** Whether there is another page. */
  more: boolean;
  /** Nodes whose part is missing. */
  unreachable: readonly { id: number; name: string | null }[];
  next(): void;
  reload(): void;
}

/** Reads a list page by page: the first when the path or the query changes, and one more for each `next`. */
export function usePages<T>(path: string | null, query: Query = {}): Pages<T> {
  type Cursor = { items: T[]; next: string | null; unreachable: Pages<T>["unreachable"] };
  const none: Cursor = { items: [], next: null, unreachable: [] };
  const [list, setList] = useState<Cursor>(none);
  const [wanted, setWanted] = useState<{ after: string | null; turn: number }>({ after: null, turn: 0 });
  const [error, setError] = useState<unknown>(undefined);
  const [loading, setLoading] = useState(true);
  const key = JSON.stringify([path, query]);
  const last = useRef(key);
  useEffect(() => {
    const fresh = last.current !== key;
    last.current = key;
    const after = fresh ? null : wanted.after;
    if (fresh) {
      setList(none);
      setError(undefined);
    }
    if (path === null) {
      setLoading(false);
      return undefined;
    }
    const stop = new AbortController();
    setLoading(true);
    page<T>(path, { query: { ...query, after }, signal: stop.signal }).then(
      ({ data, next, unreachable }) => {
        if (stop.signal.aborted) return;
        setList((was) => {
          if (after === null) return { items: data, next, unreachable };
          // What was missing on a page before is missing still.
          const silent = was.unreachable.filter((node) => !unreachable.some((other) => other.id === node.id));
          return { items: [...was.items, ...data], next, unreachable: [...silent, ...unreachable] };
        });
        setError(undefined);
        setLoading(false);
      },
      (failed: unknown) => {
        if (stop.signal.aborted || isAbort(failed)) return;
        setError(failed);
        setLoading(false);
      },
    );
    return () => stop.abort();
  }, [key, wanted]);
  return {
    ...list,
    error,
    loading,
    more: list.next !== null,
    next: () => setWanted((was) => ({ after: list.next, turn: was.turn + 1 })),
    reload: () => setWanted((was) => ({ after: null, turn: was.turn + 1 })),
  };
}

/** Runs what a button does: says whether it runs, and shows what goes wrong. */
export function useAction(): {
  busy: boolean;
  error: unknown;
  /** Returns whether it went well. While one runs, another does not begin. */
  run(act: () => Promise<unknown>): Promise<boolean>;
  clear(): void;
} {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const running = useRef(false);
  const run = async (act: () => Promise<unknown>) => {
    if (running.current) return false;
    running.current = true;
    setBusy(true);
    setError(undefined);
    try {
      await act();
      return true;
    } catch (failed) {
      if (!isAbort(failed)) setError(failed);
      return false;
    } finally {
      running.current = false;
      setBusy(false);
    }
  };
  return { busy, error, run, clear: () => setError(undefined) };
}

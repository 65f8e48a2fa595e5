import { useEffect, useRef } from "preact/hooks";
import { hold } from "../router";
import { confirm } from "./Confirm";

/** Asks whether to leave a page with what is not saved. */
export function askToLeave(what: string): Promise<boolean> {
  return confirm({
    title: "Leave without saving?",
    body: <p>{what} is lost.</p>,
    action: "Leave",
    danger: true,
    act: () => Promise.resolve(),
  });
}

/**
 * Has the page ask before it is left, as long as something is not saved; `what` says what would be lost. Returns what
 * is called once it is saved, before another page is shown.
 */
export function useUnsaved(dirty: boolean, what: string): () => void {
  const release = useRef<(() => void) | null>(null);
  const done = useRef(false);
  useEffect(() => {
    if (!dirty || done.current) return undefined;
    const end = hold(what);
    release.current = end;
    return end;
  }, [dirty, what]);
  return () => {
    done.current = true;
    release.current?.();
  };
}

// A list that is read again and again, and that stands still while somebody looks at it.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { Checkbox } from "./Field";

/** Rows as they were read last, or, while the box is checked, as they stood when it was. */
export function useHeld<T>(read: readonly T[] | undefined): { rows: readonly T[] | undefined; box: JSX.Element } {
  const [held, setHeld] = useState<readonly T[] | null>(null);
  const hold = (on: boolean) => setHeld(on ? (read ?? null) : null);
  return {
    rows: held ?? read,
    box: <Checkbox label="Hold the list" checked={held !== null} onChange={hold} disabled={read === undefined} />,
  };
}

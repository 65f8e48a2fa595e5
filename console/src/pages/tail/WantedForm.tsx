// Which events are shown: subjects, types and an expression. The expression is checked by the node as it is typed.
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { api, ApiError, isAbort, sleep, url } from "../../api";
import { CelField } from "../../lib/cel/CelField";
import type { Fields } from "../../lib/cel/fields";
import { EVERYTHING, same, type Wanted } from "../../lib/history/wanted";
import { Button, Field } from "../../ui";

export interface WantedFormProps {
  map: string;
  wanted: Wanted;
  fields: Fields;
  onApply(wanted: Wanted): void;
  /** Fields beside these. */
  children?: ComponentChildren;
  /** What the button says. */
  action: string;
  /** Whether the button does something though nothing was changed. */
  always?: boolean;
}

/** A pattern of types as the map has them: `order.*` where they have dots. */
function patternOf(types: Iterable<string>): string {
  for (const type of types) {
    const head = /^[A-Za-z0-9]+[._:/-]/.exec(type)?.[0];
    if (head !== undefined) return `${head}*`;
  }
  return "order.* or order_*";
}

/** Time after the last key before the node is asked about an expression. */
const CHECK_MS = 350;

export function WantedForm(props: WantedFormProps) {
  const { wanted, fields } = props;
  const [draft, setDraft] = useState(wanted);
  const fault = useCheck(props.map, draft.filter);
  useEffect(() => setDraft(wanted), [wanted.subjects, wanted.events, wanted.filter]);
  const change = (changes: Partial<Wanted>) => setDraft((was) => ({ ...was, ...changes }));
  const apply = () => props.onApply(draft);
  const reset = () => {
    setDraft(EVERYTHING);
    props.onApply(EVERYTHING);
  };
  return (
    <form
      class="wanted"
      role="search"
      aria-label="Which events are shown"
      onSubmit={(event) => {
        event.preventDefault();
        apply();
      }}
    >
      <Field
        label="Subjects"
        value={draft.subjects}
        onInput={(subjects) => change({ subjects })}
        options={[...fields.subjects].filter((subject) => subject !== "")}
        placeholder="the map's own"
        hint="* is all but the server's own ($*), empty the map's own; with commas"
        mono
      />
      <Field
        label="Types"
        value={draft.events}
        onInput={(events) => change({ events })}
        options={[...fields.types]}
        placeholder="all"
        hint={`${patternOf(fields.types)}, with commas`}
        mono
      />
      <CelField
        label="Filter"
        value={draft.filter}
        onInput={(filter) => change({ filter })}
        fields={fields}
        fault={fault}
        onEnter={apply}
        placeholder="payload.value > 1e9"
        hint="An expression in CEL. Ctrl+Space proposes what can stand at the caret."
      />
      {props.children}
      <div class="row wanted-do">
        <Button type="submit" kind="primary" disabled={props.always !== true && same(draft, wanted)}>
          {props.action}
        </Button>
        <Button kind="quiet" disabled={same(draft, EVERYTHING)} onClick={reset}>
          Show all
        </Button>
      </div>
    </form>
  );
}

/** What the node says against an expression; null if nothing, or if it is not known yet. */
function useCheck(map: string, filter: string): string | null {
  const [said, setSaid] = useState<{ filter: string; message: string } | null>(null);
  const known = useRef(new Map<string, string | null>());
  useEffect(() => {
    if (filter.trim() === "") return undefined;
    const stop = new AbortController();
    check(map, filter, known.current, stop.signal).then(
      (message) => setSaid(message === null ? null : { filter, message }),
      (error: unknown) => {
        if (!isAbort(error)) setSaid(null);
      },
    );
    return () => stop.abort();
  }, [map, filter]);
  return said?.filter === filter ? said.message : null;
}

async function check(map: string, filter: string, known: Map<string, string | null>, signal: AbortSignal) {
  const before = known.get(filter);
  if (before !== undefined) return before;
  await sleep(CHECK_MS, signal);
  let message: string | null = null;
  try {
    // A page that begins now is empty, so the node only reads the expression.
    const since = new Date().toISOString();
    await api.get(url`/api/maps/${map}/events`, { query: { filter, since, limit: 1 }, signal, once: true });
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "invalid_filter") throw error;
    message = error.message;
  }
  if (known.size > 200) known.clear();
  known.set(filter, message);
  return message;
}

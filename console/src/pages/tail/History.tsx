// Looks through stored events, oldest first.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api, isAbort, url } from "../../api";
import type { Fields } from "../../lib/cel/fields";
import { nextStep } from "../../lib/history/earlier";
import { normalId, type Event } from "../../lib/history/event";
import { NOTHING, Search, type Found, type Page } from "../../lib/history/search";
import type { Kept } from "../../lib/history/tail";
import { dateText, timeOf } from "../../lib/history/time";
import { parametersOf, type Wanted } from "../../lib/history/wanted";
import { counted } from "../../lib/words";
import { route, setQuery } from "../../router";
import type { MapRef } from "../../session";
import { Button, Empty, Fault, Field, Note } from "../../ui";
import { EventDetail, focusDetail } from "./EventDetail";
import { EventList } from "./EventList";
import { WantedForm } from "./WantedForm";

export interface HistoryProps {
  map: MapRef;
  wanted: Wanted;
  fields: Fields;
  onApply(wanted: Wanted): void;
  onNarrow(changes: Partial<Wanted>): void;
  onAgain(event: Event): void;
}

/** From where one looks when there is nothing. */
const BACK = [
  ["1d", "From a day ago"],
  ["7d", "From 7 days ago"],
  ["30d", "From 30 days ago"],
] as const;

/** Where a search begins and ends, as the address has it. */
interface Asked {
  from: string;
  until: string;
}

export function History(props: HistoryProps) {
  const { map, wanted, fields } = props;
  const { query } = route.value;
  const asked: Asked = { from: query.get("after") ?? query.get("from") ?? "1h", until: query.get("until") ?? "" };
  const [draft, setDraft] = useState(asked);
  const [turn, setTurn] = useState(0);
  useEffect(() => setDraft(asked), [asked.from, asked.until]);
  const fromFault = isStart(draft.from) ? null : "15m, 2h ago, 3d, a date and time, or the id of an event";
  const untilFault =
    draft.until.trim() === "" || timeOf(draft.until, Date.now()) !== null ? null : "15m, 2h, 3d, or a date and time";
  const apply = (next: Wanted) => {
    if (fromFault !== null || untilFault !== null) return;
    setQuery({ after: null, earlier: null, from: draft.from.trim(), until: draft.until.trim() || null });
    props.onApply(next);
    setTurn((was) => was + 1);
  };
  return (
    <div class="stack">
      <WantedForm map={map.id} wanted={wanted} fields={fields} onApply={apply} action="Search" always>
        <Field
          label="From"
          value={draft.from}
          onInput={(from) => setDraft((was) => ({ ...was, from }))}
          fault={fromFault}
          hint="As in 1h, 2d ago, a local time such as 2026-01-31 14:00, or behind an event's id"
          mono
        />
        <Field
          label="Until"
          value={draft.until}
          onInput={(until) => setDraft((was) => ({ ...was, until }))}
          fault={untilFault}
          placeholder="now"
          hint="Empty: up to now"
          mono
        />
      </WantedForm>
      <Results key={JSON.stringify([map.id, wanted, asked, turn])} {...props} asked={asked} />
    </div>
  );
}

function isStart(text: string): boolean {
  return normalId(text) !== null || timeOf(text, Date.now()) !== null;
}

function Results(props: HistoryProps & { asked: Asked }) {
  const { map, asked, wanted, fields } = props;
  const { found, busy, error, more, stop } = useSearch(map.id, wanted, asked, fields);
  const { query } = route.value;
  const wider = nextStep(query.get("earlier"), query.get("until"));
  const nothing = found.events.length === 0 && !found.more && !busy && error === undefined;
  useEffect(() => {
    if (nothing && wider !== null) setQuery(wider);
  }, [nothing]);
  const [chosen, setChosen] = useState<number | null>(null);
  const rows = useMemo(
    () => found.events.map((event, index): Kept => ({ number: index + 1, event, bytes: 0 })),
    [found],
  );
  const event = chosen === null ? undefined : found.events[chosen - 1];
  return (
    <div class="stack">
      <p class="row" role="status">
        <span>
          {counted(found.events.length, "event")}
          {found.reached !== null && found.more && `, looked through up to ${dateText(found.reached)}`}
          {!found.more && ", and there are no more"}
        </span>
        {busy && (
          <Button small onClick={stop}>
            Stop
          </Button>
        )}
      </p>
      {found.gap !== null && (
        <Note tone="warn">
          A part of what you ask for is no longer kept
          {found.gap.oldest !== null && (
            <>
              ; the oldest event that is, is <code>{found.gap.oldest}</code>
            </>
          )}
          .
        </Note>
      )}
      <Fault error={error} retry={more} />
      <div class={event === undefined ? "ev-split" : "ev-split ev-split-open"}>
        {rows.length === 0 ? (
          !busy &&
          error === undefined && (
            <Empty title={found.more ? "Nothing yet" : "No event matches"}>
              {!found.more && (
                <>
                  <p>Look from an earlier time, at all subjects (*), or with a wider filter.</p>
                  <p class="row row-middle">
                    {BACK.map(([from, label]) => (
                      <Button key={from} small onClick={() => setQuery({ after: null, earlier: null, from })}>
                        {label}
                      </Button>
                    ))}
                  </p>
                </>
              )}
            </Empty>
          )
        ) : (
          <EventList
            label="Events found, the oldest first"
            events={rows}
            newestFirst={false}
            chosen={chosen}
            onChoose={setChosen}
            onEnter={focusDetail}
            dates
          />
        )}
        {event !== undefined && (
          <EventDetail
            key={event.id}
            map={map}
            event={event}
            wanted={wanted}
            onNarrow={props.onNarrow}
            onAgain={props.onAgain}
            onClose={() => setChosen(null)}
          />
        )}
      </div>
      {found.more && (
        <div class="table-more">
          <Button onClick={more} busy={busy}>
            Look for more
          </Button>
        </div>
      )}
    </div>
  );
}

/** A search that begins by itself. `more` goes on with it, `stop` ends what runs. */
function useSearch(map: string, wanted: Wanted, asked: Asked, fields: Fields) {
  const [found, setFound] = useState<Found>(NOTHING);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const running = useRef<AbortController | null>(null);
  const search = useMemo(() => {
    const now = Date.now();
    const after = normalId(asked.from);
    const from = after === null ? timeOf(asked.from, now) : null;
    const since = from === null ? null : new Date(from).toISOString();
    const span = { after, since, until: asked.until === "" ? null : timeOf(asked.until, now) };
    return new Search(span, ({ after, since, limit }) => {
      const query = { ...parametersOf(wanted), after, since, limit };
      return api.get<Page>(url`/api/maps/${map}/events`, { query, signal: running.current?.signal });
    });
  }, []);
  const more = () => {
    if (running.current !== null) return;
    const stop = new AbortController();
    running.current = stop;
    setBusy(true);
    setError(undefined);
    const told = (now: Found) => {
      setFound(now);
      return !stop.signal.aborted;
    };
    search
      .next(told)
      .then((now) => now.events.slice(-20).forEach((event) => fields.learn(event)))
      .catch((failed: unknown) => {
        if (!isAbort(failed)) setError(failed);
      })
      .finally(() => {
        running.current = null;
        setBusy(false);
      });
  };
  const stop = () => running.current?.abort();
  useEffect(() => {
    more();
    return stop;
  }, []);
  return { found, busy, error, more, stop };
}

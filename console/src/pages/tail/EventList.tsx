// A list of events of which only what is seen is drawn. It is a listbox: arrow keys choose an event.
import type { JSX } from "preact";
import { useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { clockText, dateText } from "../../lib/history/time";
import { windowOf, type Kept } from "../../lib/history/tail";

export interface EventListProps {
  /** What the list is. It is read out. */
  label: string;
  /** Oldest first. */
  events: readonly Kept[];
  /** Whether the newest stands at the top. What is looked at then stays in its place while others come. */
  newestFirst: boolean;
  /** The number of the chosen event. */
  chosen: number | null;
  onChoose(number: number | null): void;
  /** Enter, on the chosen event. */
  onEnter?: (() => void) | undefined;
  /** The space bar. */
  onSpace?: (() => void) | undefined;
  /** Whether rows have the date, too. */
  dates?: boolean | undefined;
}

/** Heights of a row, and of one on a phone, in pixels; as in events.css. */
const ROW = 32;
const PHONE_ROW = 56;
/** Characters of a payload that a row has. */
const PREVIEW = 400;

export function EventList(props: EventListProps): JSX.Element {
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const row = useMedia("(max-width: 640px)") ? PHONE_ROW : ROW;
  const [view, setView] = useState({ top: 0, height: 600 });
  const { events, newestFirst, chosen } = props;
  const count = events.length;
  const at = (index: number): Kept | undefined => events[newestFirst ? count - 1 - index : index];
  const see = () => {
    const element = box.current;
    if (element !== null) setView({ top: element.scrollTop, height: element.clientHeight });
  };
  const newest = events.at(-1)?.number ?? 0;
  const former = useRef(newest);
  useLayoutEffect(() => {
    const added = newest - former.current;
    former.current = newest;
    const element = box.current;
    if (!newestFirst || added <= 0 || element === null || element.scrollTop === 0) return;
    element.scrollTop += added * row;
    see();
  }, [newest]);
  useEffect(() => {
    see();
    const resized = new ResizeObserver(see);
    if (box.current !== null) resized.observe(box.current);
    return () => resized.disconnect();
  }, [row]);

  const choose = (index: number) => {
    const to = Math.min(Math.max(index, 0), count - 1);
    props.onChoose(at(to)?.number ?? null);
    const element = box.current;
    if (element === null) return;
    element.scrollTop = Math.min(to * row, Math.max(element.scrollTop, (to + 1) * row - element.clientHeight));
  };
  // The numbers in a list have no holes.
  const first = at(0)?.number ?? 0;
  const index = chosen === null || count === 0 ? -1 : newestFirst ? first - chosen : chosen - first;
  const keys = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(view.height / row) - 1);
    const steps: Record<string, number> = {
      ArrowDown: index + 1,
      ArrowUp: index - 1,
      PageDown: index + page,
      PageUp: index - page,
      Home: 0,
      End: count - 1,
    };
    const to = steps[event.key];
    if (to !== undefined) choose(to);
    else if (event.key === "Escape" && chosen !== null) props.onChoose(null);
    else if (event.key === "Enter" && chosen !== null && props.onEnter !== undefined) props.onEnter();
    else if (event.key === " " && props.onSpace !== undefined) props.onSpace();
    else return;
    event.preventDefault();
  };
  const { from, to } = windowOf(view.top, view.height, row, count);
  const drawn = Array.from({ length: to - from }, (_, offset) => from + offset);
  return (
    <div
      ref={box}
      class={props.dates === true ? "ev-list ev-dates" : "ev-list"}
      role="listbox"
      tabIndex={0}
      aria-label={props.label}
      aria-activedescendant={index >= from && index < to ? `${id}-${chosen}` : undefined}
      onScroll={see}
      onKeyDown={keys}
    >
      <div class="ev-sizer" role="presentation" style={{ height: `${count * row}px` }}>
        {drawn.map((place) => {
          const kept = at(place);
          if (kept === undefined) return null;
          return (
            <EventRow
              key={kept.number}
              id={`${id}-${kept.number}`}
              kept={kept}
              place={place}
              count={count}
              row={row}
              dates={props.dates === true}
              chosen={kept.number === chosen}
              onChoose={() => choose(place)}
            />
          );
        })}
      </div>
    </div>
  );
}

function EventRow(props: {
  id: string;
  kept: Kept;
  place: number;
  count: number;
  row: number;
  dates: boolean;
  chosen: boolean;
  onChoose(): void;
}) {
  const { event } = props.kept;
  const time = props.dates ? dateText(Date.parse(event.ts)) : clockText(event.ts);
  // A row is drawn again with each event that comes, and its payload may be long.
  const payload = useMemo(() => preview(event.payload), [event]);
  return (
    <div
      id={props.id}
      class="ev-row"
      role="option"
      aria-selected={props.chosen}
      aria-posinset={props.place + 1}
      aria-setsize={props.count}
      style={{ transform: `translateY(${props.place * props.row}px)` }}
      onClick={props.onChoose}
    >
      <time class="ev-time" dateTime={event.ts}>
        {time}
      </time>
      <span class="ev-seq">{event.seq === undefined ? "not stored" : `#${event.seq}`}</span>
      <span class="ev-type">{event.type}</span>
      <span class="ev-subject">{event.subject ?? ""}</span>
      <span class="ev-payload">{payload}</span>
    </div>
  );
}

function preview(payload: unknown): string {
  const text = JSON.stringify(payload);
  return text.length > PREVIEW ? `${text.slice(0, PREVIEW)}…` : text;
}

/** Whether a media query holds now. */
function useMedia(query: string): boolean {
  const [holds, setHolds] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const change = () => setHolds(media.matches);
    media.addEventListener("change", change);
    return () => media.removeEventListener("change", change);
  }, [query]);
  return holds;
}

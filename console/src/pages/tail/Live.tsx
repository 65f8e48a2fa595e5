import { useEffect, useMemo, useState } from "preact/hooks";
import type { Fields } from "../../lib/cel/fields";
import { earlierThan } from "../../lib/history/earlier";
import type { Event } from "../../lib/history/event";
import { addressOf, type Wanted } from "../../lib/history/wanted";
import { tailAsCommand, tailAsCurl } from "../../lib/snippets/tail";
import { shortcuts } from "../../app/shortcuts";
import { href } from "../../router";
import type { MapRef } from "../../session";
import { Button, bytes, Code, Empty, Fault, Note, number, Status } from "../../ui";
import { EventDetail, focusDetail } from "./EventDetail";
import { EventList } from "./EventList";
import { useTail, type Reader } from "./reader";

export interface LiveProps {
  map: MapRef;
  wanted: Wanted;
  fields: Fields;
  onNarrow(changes: Partial<Wanted>): void;
  onAgain(event: Event): void;
}

/** The events of a map as they come. */
export function Live(props: LiveProps) {
  const { map, wanted } = props;
  const reader = useTail(map.id, wanted, props.fields);
  const { list } = reader;
  const [chosen, setChosen] = useState<number | null>(null);
  // The list forgets its oldest events; what is looked at stays.
  const [kept, setKept] = useState<Event | null>(null);
  const choose = (to: number | null) => {
    setChosen(to);
    setKept(list.shown.find((one) => one.number === to)?.event ?? null);
  };
  const toggle = () => (list.paused ? reader.resume() : reader.pause());
  useEffect(() => choose(null), [reader]);
  useKey("p", toggle);
  // It is not drawn again with each event that comes: its payload may be long.
  const detail = useMemo(
    () =>
      kept !== null && (
        <EventDetail
          key={kept.id}
          map={map}
          event={kept}
          wanted={wanted}
          onNarrow={props.onNarrow}
          onAgain={props.onAgain}
          onClose={() => choose(null)}
        />
      ),
    [kept, map, wanted, props.onNarrow, props.onAgain],
  );
  return (
    <div class="stack">
      <LiveHead reader={reader} onToggle={toggle} />
      {reader.refused !== null && (
        <Note tone="warn">
          The node does not take this tail now: {reader.refused.message} <code>{reader.refused.code}</code>. It is tried
          again.
        </Note>
      )}
      {reader.gap && (
        <Note tone="warn">Some events in between are no longer kept: retention or somebody removed them.</Note>
      )}
      {reader.connection === "held" && (
        <Note>
          So much waits that the stream is closed until you resume; it goes on after the last event that waits. Events
          that are not stored pass by meanwhile.
        </Note>
      )}
      <Fault error={reader.error} retry={() => reader.open()} />
      <div class={kept === null ? "ev-split" : "ev-split ev-split-open"}>
        {list.shown.length === 0 ? (
          <Nothing reader={reader} />
        ) : (
          <EventList
            label="Events, the newest first"
            events={list.shown}
            newestFirst
            chosen={chosen}
            onChoose={choose}
            onEnter={focusDetail}
            onSpace={toggle}
          />
        )}
        {detail}
      </div>
      <div class="row">
        <a href={earlier(map, wanted, list.shown[0]?.event)}>Earlier events</a>
      </div>
      <AsCommand map={map} wanted={wanted} />
    </div>
  );
}

/** Where the history before an event is, or before now: as much of it as has some events. */
function earlier(map: MapRef, wanted: Wanted, event: Event | undefined): string {
  const before = event === undefined ? Date.now() : Date.parse(event.ts);
  return href(["maps", map.slug, "tail"], { ...addressOf(wanted), view: "history", ...earlierThan(before, 0) });
}

const STATES = {
  opening: { tone: "info", text: "Connecting" },
  open: { tone: "ok", text: "Live" },
  lost: { tone: "warn", text: "Lost; connecting again, nothing is skipped" },
  held: { tone: "info", text: "Paused" },
  ended: { tone: "bad", text: "Ended" },
} as const;

function LiveHead({ reader, onToggle }: { reader: Reader; onToggle(): void }) {
  const { list, connection } = reader;
  const rate = reader.rate.perSecond(Date.now(), reader.started);
  const state = list.paused && connection === "open" ? STATES.held : STATES[connection];
  const waits = connection === "held" ? "more wait at the node" : `${number(list.waiting)} wait`;
  return (
    <div class="row spread live-head">
      <div class="row live-counts">
        <span role="status">
          <Status tone={state.tone}>{state.text}</Status>
        </span>
        {list.paused && <span>{waits}</span>}
        <span class="num">
          <b>{perSecond(rate.events)}</b> events/s
        </span>
        <span class="num">{bytes(Math.round(rate.bytes))}/s</span>
        <span class="num">{number(list.came)} came</span>
        {list.forgotten > 0 && <span class="muted">the newest {number(list.shown.length)} are shown</span>}
      </div>
      <div class="row">
        <Button icon={list.paused ? "play" : "pause"} onClick={onToggle} title="p, or the space bar in the list">
          {list.paused ? "Resume" : "Pause"}
        </Button>
        <Button kind="quiet" onClick={() => reader.clear()}>
          Clear
        </Button>
      </div>
    </div>
  );
}

function perSecond(events: number): string {
  return events === 0 || events >= 10 ? number(events) : events.toFixed(1);
}

function Nothing({ reader }: { reader: Reader }) {
  if (reader.connection === "ended") return null;
  const waiting = reader.connection === "open" || reader.connection === "held";
  return (
    <Empty title={waiting ? "No event yet" : "Connecting …"}>
      {waiting && "Events that match stand here as soon as somebody publishes one. Or publish one yourself, above."}
    </Empty>
  );
}

function AsCommand({ map, wanted }: { map: MapRef; wanted: Wanted }) {
  const tail = { origin: location.origin, map: map.slug, ...wanted };
  return (
    <details class="more">
      <summary>The same on the command line</summary>
      <div class="stack-tight">
        <Code text={tailAsCommand(tail)} label="As a command of waypost" />
        <Code text={tailAsCurl(tail)} label="As a command of curl" />
      </div>
    </details>
  );
}

/** Does something when a key is pressed that no field takes. */
function useKey(key: string, act: () => void): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const target = event.target as Element;
      const typing = target.closest("input, textarea, select, dialog, [role=tree], [contenteditable]") !== null;
      if (
        !shortcuts.peek() ||
        event.key !== key ||
        event.ctrlKey ||
        event.metaKey ||
        event.altKey ||
        event.defaultPrevented ||
        typing
      )
        return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  });
}

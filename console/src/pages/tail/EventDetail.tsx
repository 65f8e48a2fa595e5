import type { ComponentChildren } from "preact";
import { api, url } from "../../api";
import { eventText, type Event } from "../../lib/history/event";
import { also, subjectItem, type Wanted } from "../../lib/history/wanted";
import { href } from "../../router";
import { can, type MapRef } from "../../session";
import { Button, confirm, CopyButton, Facts, JsonTree, LinkButton, say, shell, Time } from "../../ui";

export interface EventDetailProps {
  map: MapRef;
  event: Event;
  /** Which events the page shows now. */
  wanted: Wanted;
  /** Narrows what the page shows. */
  onNarrow(changes: Partial<Wanted>): void;
  /** Fills the form for publishing with this event. */
  onAgain(event: Event): void;
  onClose(): void;
}

/** Puts the focus on the event that is shown. */
export function focusDetail(): void {
  document.querySelector<HTMLElement>(".ev-detail")?.focus();
}

/** One event: its envelope, its payload as a tree, and where to go from it. */
export function EventDetail(props: EventDetailProps) {
  const { map, event, wanted, onNarrow } = props;
  const subject = event.subject ?? "";
  const stored = event.seq !== undefined;
  return (
    <section
      class="ev-detail card"
      aria-label={`Event ${event.id}`}
      tabIndex={-1}
      onKeyDown={(key) => {
        if (key.key !== "Escape" || key.defaultPrevented) return;
        props.onClose();
        document.querySelector<HTMLElement>(".ev-list")?.focus();
      }}
    >
      <div class="section-head">
        <h2>{event.type}</h2>
        <Button kind="quiet" icon="close" label="Close the event" onClick={props.onClose} />
      </div>
      <Facts facts={factsOf(event)} />
      <div class="row">
        {stored && can("manage") && (
          <LinkButton href={href(["maps", map.slug, "events", event.id])} kind="primary">
            Follow this event
          </LinkButton>
        )}
        <span class="row ev-copy">
          <CopyButton text={eventText(event)} label="Copy the event as JSON" />
          <span class="hint">as JSON</span>
        </span>
      </div>
      <JsonTree
        value={event.payload}
        label={`Payload of ${event.type}`}
        paths
        onFilter={(condition) => onNarrow({ filter: joined(wanted.filter, condition) })}
      />
      <div class="row">
        <Button small onClick={() => onNarrow({ events: event.type })}>
          Only this type
        </Button>
        <Button small onClick={() => onNarrow({ subjects: subjectItem(subject) })}>
          Only this subject
        </Button>
        {stored && (
          <a
            class="btn btn-plain btn-small"
            href={href(["maps", map.slug, "tail"], { view: "history", after: event.id, subjects: "*" })}
          >
            <span>What came after it</span>
          </a>
        )}
        {can("publish") && (
          <Button small onClick={() => props.onAgain(event)}>
            Publish one like it
          </Button>
        )}
        {stored && can("manage") && (
          <Button small kind="danger" onClick={() => remove(map, event)}>
            Remove from history
          </Button>
        )}
      </div>
    </section>
  );
}

function joined(filter: string, condition: string): string {
  return filter.includes(condition) ? filter : also(filter, condition);
}

function factsOf(event: Event): [string, ComponentChildren][] {
  const id = (
    <span class="row ev-copy">
      <code>{event.id}</code>
      <CopyButton text={event.id} label="Copy the id" />
    </span>
  );
  const facts: [string, ComponentChildren][] = [
    ["Id", id],
    ["Seq", event.seq === undefined ? "none: it was sent and not stored" : event.seq],
    ["Subject", event.subject === undefined ? <span class="muted">the map's own</span> : <code>{event.subject}</code>],
    ["Time", <Time at={event.ts} exact />],
  ];
  if (event.user_id !== undefined) facts.push(["Sent by user", event.user_id]);
  if (event.traceparent !== undefined) facts.push(["Trace", <code>{event.traceparent}</code>]);
  return facts;
}

function remove(map: MapRef, event: Event): void {
  const address = location.origin + url`/api/maps/${map.slug}/events/${event.id}`;
  void confirm({
    title: "Remove this event?",
    body: "It leaves history, and webhooks and consumers that have yet to get it do not get it any more.",
    command: `curl -sS -X DELETE ${shell(address)} -H "Authorization: Bearer $TOKEN"`,
    action: "Remove",
    danger: true,
    act: () => api.delete(url`/api/maps/${map.id}/events/${event.id}`),
  }).then((done) => done && say("Removed"));
}

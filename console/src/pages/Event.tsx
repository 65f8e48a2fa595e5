// Follow one event: what became of it, from its publish to the last webhook.
import { useState } from "preact/hooks";
import { api, ApiError, url } from "../api";
import { factsOf, normalId } from "../lib/history/event";
import { dateText } from "../lib/history/time";
import { go } from "../router";
import {
  Button,
  Command,
  CopyButton,
  Facts,
  Fault,
  Field,
  Loading,
  Note,
  PageHead,
  Section,
  shell,
  Time,
  Unreachable,
  useResource,
} from "../ui";
import { useTokenNames } from "../tokens";
import type { MapPage } from "./props";
import { Deliveries } from "./trace/Deliveries";
import { Lanes } from "./trace/Lanes";
import { clocksApart, isOpen, type Trace } from "./trace/model";
import { Stages } from "./trace/Stages";

/** Time between two looks while something may still happen. */
const AGAIN_MS = 3000;

export function Event({ map, rest }: MapPage) {
  const given = rest[0] ?? "";
  const id = normalId(given);
  return (
    <>
      <PageHead title="Follow one event">
        What became of an event of {map.name ?? map.slug}, from its publish to the last webhook.
      </PageHead>
      <Which key={given} map={map.slug} given={given} />
      {given !== "" && id === null && <Note tone="warn">{noId(given)}</Note>}
      {id !== null && <Followed key={`${map.id} ${id}`} map={map} id={id} />}
    </>
  );
}

/** Why a text is not the id of an event. */
function noId(text: string): string {
  return /^\s*\d{1,20}\s*$/.test(text)
    ? "This is a seq. Give the id of the event: the live tail shows it when you open the event with that seq."
    : "This is not the id of an event: an id has 26 letters and digits.";
}

function Which({ map, given }: { map: string; given: string }) {
  const [text, setText] = useState(given);
  const id = normalId(text);
  const fault = text.trim() === "" || text === given || id !== null ? null : noId(text);
  return (
    <form
      class="row row-bottom"
      role="search"
      aria-label="Which event"
      onSubmit={(event) => {
        event.preventDefault();
        if (id !== null) go(["maps", map, "events", id]);
      }}
    >
      <div class="grow which-id">
        <Field
          label="Id of the event (a seq is not enough)"
          value={text}
          onInput={setText}
          placeholder="01JY97R74N0000000000070003"
          maxLength={60}
          mono
          autofocus={given === ""}
          fault={fault}
        />
      </div>
      <Button type="submit" kind="primary" disabled={id === null}>
        Follow
      </Button>
    </form>
  );
}

function Followed({ map, id }: { map: MapPage["map"]; id: string }) {
  const [open, setOpen] = useState(true);
  const nameOf = useTokenNames(map.id);
  const { data, error, reload } = useResource(
    async (signal) => {
      const answer = await api.get<{ data: Trace }>(url`/api/maps/${map.id}/events/${id}/trace`, { signal });
      setOpen(isOpen(answer.data, Date.now()));
      return answer.data;
    },
    [map.id, id],
    open ? AGAIN_MS : undefined,
  );
  const unknown = error instanceof ApiError && error.status === 404;
  return (
    <>
      {unknown ? <Note tone="warn">{error.message}.</Note> : <Fault error={error} retry={reload} />}
      {data === undefined && error === undefined && <Loading what="Asking all nodes" />}
      {(data?.event ?? null) === null && (unknown || data !== undefined) && <FromId id={id} />}
      {data !== undefined && <Shown trace={data} nameOf={nameOf} map={map.slug} />}
      {!open && data !== undefined && (
        <div class="row">
          <Button small onClick={reload}>
            Look again
          </Button>
        </div>
      )}
      <Command line={`waypost trace ${id} --map ${shell(map.slug)}`} />
    </>
  );
}

/** What the id alone tells, of an event of which nothing else is known. */
function FromId({ id }: { id: string }) {
  const facts = factsOf(id);
  if (facts === null) return null;
  const place = facts.ephemeral
    ? "none: it was sent to those who listened, and never stored"
    : `log index ${facts.index}, event ${facts.slot + 1} of its entry`;
  return (
    <Section title="What its id tells">
      <Facts
        facts={[
          ["Published about", dateText(facts.ms)],
          ["Place in the log", place],
        ]}
      />
    </Section>
  );
}

function Shown({ trace, nameOf, map }: { trace: Trace; nameOf(token: string): string; map: string }) {
  const { event } = trace;
  return (
    <>
      {event !== null && (
        <Facts
          facts={[
            ["Type", <b>{event.type}</b>],
            ["Subject", event.subject ? <code>{event.subject}</code> : <span class="muted">the map's own</span>],
            ["Seq", event.seq ?? "none: it is not stored"],
            ["Time", <Time at={event.ts} exact />],
            [
              "Id",
              <span class="row ev-copy">
                <code>{event.id}</code>
                <CopyButton text={event.id} label="Copy the id" />
              </span>,
            ],
          ]}
        />
      )}
      <Unreachable nodes={trace.unreachable} />
      {trace.gone.length > 0 && (
        <Note tone="warn">
          <p>Not everything is known any more:</p>
          <ul class="gone">
            {trace.gone.map((sentence) => (
              <li key={sentence}>{sentence}</li>
            ))}
          </ul>
        </Note>
      )}
      <Stages trace={trace} />
      {clocksApart(trace) && (
        <Note>
          Some steps seem to come before those that they follow: each node notes them by its own clock, some a moment
          late.
        </Note>
      )}
      <Lanes trace={trace} nameOf={nameOf} />
      <Deliveries trace={trace} map={map} />
    </>
  );
}

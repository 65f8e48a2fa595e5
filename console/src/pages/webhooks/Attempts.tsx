// The last attempts of a webhook: what was sent, and what came back.
import { useState } from "preact/hooks";
import { api } from "../../api";
import { classWords } from "../../lib/delivery/state";
import { testedRequest } from "../../lib/delivery/tested";
import type { MapRef } from "../../session";
import {
  Checkbox,
  Code,
  Dialog,
  duration,
  Facts,
  Note,
  number,
  Section,
  Status,
  Table,
  Time,
  useHeld,
  useResource,
  type Column,
  type Tone,
} from "../../ui";
import { useAccess } from "../delivery/access";
import { EventId } from "../delivery/EventId";
import { nodeWord } from "../delivery/node";
import type { Attempt, Webhook } from "../delivery/types";
import { RequestOf, Shown } from "./Preview";

const EVERY = 2500;

export function Attempts({ map, webhook, path }: { map: MapRef; webhook: Webhook; path: string }) {
  const [failed, setFailed] = useState(false);
  // The attempt itself is kept: it may be one that the node forgets meanwhile.
  const [open, setOpen] = useState<Attempt | null>(null);
  const list = useResource(
    (signal) =>
      api.get<{ data: Attempt[] }>(`${path}/attempts`, { signal }).then((answer) => [...answer.data].reverse()),
    [path],
    EVERY,
  );
  const { rows: shown, box } = useHeld(list.data);
  const rows = shown?.filter((attempt) => !failed || attempt.class !== "delivered");
  return (
    <Section
      title="Attempts"
      hint="The node that delivers remembers the last 20, with the beginning of each answer."
      actions={
        <>
          {box}
          <Checkbox label="Only those that failed" checked={failed} onChange={setFailed} />
        </>
      }
    >
      <Table
        caption="Attempts"
        columns={columnsOf(map, setOpen)}
        rows={rows}
        rowKey={keyOf}
        onOpen={(attempt) => setOpen(attempt)}
        selected={open === null ? null : keyOf(open)}
        loading={list.loading}
        error={list.error}
        retry={list.reload}
        empty={failed ? "None of the last attempts failed" : "No attempt yet"}
      />
      {open !== null && (
        <Dialog title={`Attempt ${open.attempt} of ${open.type}`} onClose={() => setOpen(null)} wide>
          <One map={map} webhook={webhook} attempt={open} />
        </Dialog>
      )}
    </Section>
  );
}

function keyOf(attempt: Attempt): string {
  return `${attempt.number} ${attempt.at} ${attempt.message_id}`;
}

function toneOf(attempt: Attempt): Tone {
  if (attempt.class === "delivered") return "ok";
  return attempt.class === "throttled" ? "warn" : "bad";
}

function columnsOf(map: MapRef, open: (attempt: Attempt) => void): readonly Column<Attempt>[] {
  return [
    {
      key: "at",
      title: "When",
      cell: (one) => (
        <button type="button" class="opener" aria-haspopup="dialog" onClick={() => open(one)}>
          <Time at={one.at} />
        </button>
      ),
      sort: (one) => one.at,
    },
    {
      key: "result",
      title: "Result",
      cell: (one) => (
        <Status tone={toneOf(one)}>
          {one.status === null ? classWords(one.class) : `${one.status}, ${classWords(one.class)}`}
        </Status>
      ),
      sort: (one) => one.class,
    },
    {
      key: "type",
      title: "Type",
      cell: (one) => <Kind map={map} attempt={one} />,
      sort: (one) => one.type,
    },
    {
      key: "attempt",
      title: "Attempt",
      cell: (one) => number(one.attempt),
      sort: (one) => one.attempt,
      align: "end",
      wide: true,
    },
    { key: "ms", title: "Took", cell: (one) => duration(one.ms), sort: (one) => one.ms, align: "end", wide: true },
    {
      key: "event",
      title: "Event",
      cell: (one) => (one.event_id === null ? "test" : <EventId map={map} id={one.event_id} />),
      wide: true,
    },
  ];
}

/** The type of the events; on a phone also which attempt it was, and of which event. */
function Kind({ map, attempt }: { map: MapRef; attempt: Attempt }) {
  return (
    <>
      {attempt.events > 1 ? `${attempt.type} and ${attempt.events - 1} more` : attempt.type}
      <span class="narrow hint">
        attempt {number(attempt.attempt)}
        {attempt.event_id === null ? ", a test" : <>, {<EventId map={map} id={attempt.event_id} />}</>}
      </span>
    </>
  );
}

/** What came back stands first: that is what one looks for, and on a phone the request is below it. */
function One({ map, webhook, attempt }: { map: MapRef; webhook: Webhook; attempt: Attempt }) {
  return (
    <div class="halves">
      <Answer attempt={attempt} />
      <div class="stack">
        <h3>Request</h3>
        <Facts
          facts={[
            ["At", <Time at={attempt.at} exact />],
            ["Attempt", number(attempt.attempt)],
            ["Event", attempt.event_id === null ? "of a test" : <EventId map={map} id={attempt.event_id} />],
            ["Events", number(attempt.events)],
            ["Message", <code>{attempt.message_id || "–"}</code>],
            ["By", nodeWord(attempt.node, attempt.node_name)],
          ]}
        />
        <Sent map={map} webhook={webhook} attempt={attempt} />
      </div>
    </div>
  );
}

/** The request, as far as it can be made again. */
function Sent({ map, webhook, attempt }: { map: MapRef; webhook: Webhook; attempt: Attempt }) {
  const { writeWebhooks } = useAccess();
  if (attempt.event_id !== null) {
    return writeWebhooks ? <RequestOf map={map} webhook={webhook} attempt={attempt} /> : null;
  }
  const request = testedRequest(attempt.message_id);
  if (request !== null) return <Shown request={request} />;
  return <p class="hint">The event of a test is stored nowhere. Its request is shown where the test is made.</p>;
}

const SENT: Readonly<Record<Attempt["sent"], string>> = {
  nothing: "The receiver got nothing.",
  maybe: "A part of the request was sent, and no whole answer came: the receiver may have taken it.",
  answered: "The receiver answered.",
};

const STAGES: Readonly<Record<NonNullable<Attempt["stage"]>, string>> = {
  dns: "looking up the name",
  connect: "connecting",
  tls: "the TLS handshake",
  write: "sending the request",
  wait: "waiting for the answer",
  head: "reading the head of the answer",
  body: "reading the body of the answer",
};

/** What came back of an attempt. */
export function Answer({ attempt }: { attempt: Attempt }) {
  const tone = toneOf(attempt);
  return (
    <div class="stack">
      <h3>Answer</h3>
      <Note tone={tone === "bad" ? "bad" : tone === "warn" ? "warn" : "ok"}>
        <p>
          {attempt.status === null ? "" : `${attempt.status}: `}
          {classWords(attempt.class)}, after {duration(attempt.ms)}.
        </p>
        {attempt.error !== null && <p>{attempt.error}</p>}
      </Note>
      <p class="hint">
        {SENT[attempt.sent]}
        {attempt.stage !== null && ` It ended at ${STAGES[attempt.stage]}.`}
      </p>
      {attempt.response === "" ? (
        <p class="hint">No body came back.</p>
      ) : (
        <Code text={attempt.response} label="Beginning of the answer's body" />
      )}
    </div>
  );
}

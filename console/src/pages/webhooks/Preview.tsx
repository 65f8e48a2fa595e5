// What a webhook would send: the node chooses and renders, nothing is evaluated here.
import { useEffect, useRef, useState } from "preact/hooks";
import { api, ApiError, sleep, url } from "../../api";
import type { Fields } from "../../lib/cel/fields";
import { bodyOf, faultLines, type Values } from "../../lib/delivery/fields";
import { previewOf, type MadeRequest, type Preview } from "../../lib/delivery/preview";
import { NEW_SAMPLE, sampleOf } from "../../lib/delivery/sample";
import { chosenQuery, lacksTemplate, WEBHOOK, WHOLE } from "../../lib/delivery/settings";
import { counted } from "../../lib/words";
import type { MapRef } from "../../session";
import { Button, Code, Fault, Field, JsonTree, Loading, Note, Select, Status, useResource } from "../../ui";
import { useAccess } from "../delivery/access";
import { EventId } from "../delivery/EventId";
import type { Attempt, StoredEvent, Webhook } from "../delivery/types";
import { SampleFields } from "./SampleFields";

/** The event with which it is shown. */
type Shows = "newest" | "stored" | "sample";
const SHOWS: readonly { value: Shows; label: string }[] = [
  { value: "newest", label: "the newest event that it chooses" },
  { value: "stored", label: "a stored event, by its id" },
  { value: "sample", label: "an event of your own" },
];

/** How long nothing may change before the node is asked. */
const CALM_MS = 500;
const SHOWN = 5;

/** Whether the node has no previews, or none for whoever is here. */
function isMissing(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  const unknown = ["webhook_not_found", "event_not_found"].includes(error.code);
  return [403, 405].includes(error.status) || (error.status === 404 && !unknown);
}

/** The request that the present settings make of the event of an attempt. */
export function RequestOf({ map, webhook, attempt }: { map: MapRef; webhook: Webhook; attempt: Attempt }) {
  const { event_id: event, at } = attempt;
  // The record that no attempt could begin has the number 0.
  const ask = { webhook: webhook.id, event, attempt: Math.max(1, attempt.attempt), at };
  const preview = useResource((signal) => load(map, ask, signal), [JSON.stringify(ask), webhook.updated_at]);
  if (preview.error !== undefined) {
    if (isMissing(preview.error)) return <p class="hint">This node does not show requests.</p>;
    return <Fault error={preview.error} retry={preview.reload} />;
  }
  if (preview.data === undefined) return <Loading />;
  return (
    <>
      <p class="hint">
        As the present settings make it for this attempt, at its time. The signature is made when it is sent.
        {attempt.events > 1 && ` It had ${counted(attempt.events, "event")}; this is the first of them.`}
      </p>
      <Made preview={preview.data} />
    </>
  );
}

function load(map: MapRef, ask: object, signal: AbortSignal): Promise<Preview> {
  return api
    .post<{ data: unknown }>(url`/api/maps/${map.id}/webhooks/preview`, ask, { signal })
    .then((answer) => ({ ...previewOf(answer.data), sample: "sample" in ask }));
}

export interface LivePreviewProps {
  map: MapRef;
  values: Values;
  /** The webhook that is edited, and its values as they are; null for a new one. */
  webhook: Webhook | null;
  before: Values | null;
  /** Told the faults that the node finds. */
  onFaults(error: unknown): void;
  /** Told the events that were seen, for completion. */
  onSeen(events: readonly Seen[]): void;
}

/** What is learnt from an event. */
export type Seen = Parameters<Fields["learn"]>[0];

/** Shows what the settings in the form choose and make of a real event, as they are typed. */
export function LivePreview({ map, values, webhook, before, onFaults, onSeen }: LivePreviewProps) {
  const [shows, setShows] = useState<Shows>("newest");
  const [event, setEvent] = useState("");
  const [form, setForm] = useState(NEW_SAMPLE);
  const made = sampleOf(form);
  const { body } = bodyOf(WEBHOOK, values, before, WHOLE);
  // A secret plays no part in what is shown, so it stays here.
  delete body["secret"];
  const withEvent =
    shows === "sample"
      ? "sample" in made
        ? { sample: made.sample }
        : null
      : shows === "stored" && event.trim() !== ""
        ? { event: event.trim() }
        : {};
  // What is missing is not asked for: the refusal would say nothing new.
  const waits = withEvent === null || lacksTemplate(values);
  const ask = waits
    ? null
    : JSON.stringify({ ...(webhook === null ? {} : { webhook: webhook.id }), settings: body, ...withEvent });
  // A node that has no previews is asked once, and not at each key: each refusal is a line of the audit log.
  const missing = useRef<unknown>(null);
  const preview = useResource<Preview | null>(
    async (signal) => {
      if (missing.current !== null) throw missing.current;
      if (ask === null) return null;
      await sleep(CALM_MS, signal);
      try {
        return await load(map, JSON.parse(ask) as object, signal);
      } catch (failed) {
        if (isMissing(failed)) missing.current = failed;
        throw failed;
      }
    },
    [map.id, ask],
  );
  const { error } = preview;
  // The last answer stays while the next one is awaited, so that nothing jumps as one types.
  const last = useRef<Preview | undefined>(undefined);
  if (preview.data) last.current = preview.data;
  const shown = error === undefined && !waits ? last.current : undefined;
  useEffect(() => onFaults(isMissing(error) ? undefined : error), [error]);
  useEffect(() => {
    const event = preview.data?.event ?? null;
    if (event !== null) onSeen([event as unknown as Seen]);
  }, [preview.data]);
  return (
    <section class="card preview" aria-label="Preview">
      <h2>Preview</h2>
      {!isMissing(error) && (
        <>
          <Select label="With" value={shows} onChange={(to: Shows) => setShows(to)} options={SHOWS} />
          {shows === "stored" && (
            <Field label="Its id" value={event} onInput={setEvent} placeholder="the newest that it chooses" mono />
          )}
          {shows === "sample" && (
            <SampleFields form={form} faults={"faults" in made ? made.faults : {}} onChange={setForm} />
          )}
        </>
      )}
      <div class="stack" aria-live="polite">
        {isMissing(error) ? (
          <Note>This node shows no preview. Create the webhook paused, and send it a test.</Note>
        ) : (
          !waits && <Refused error={error} />
        )}
        {lacksTemplate(values) && <Note>Type a template: what it makes of the event stands here at once.</Note>}
        {shown !== undefined && <Whole map={map} preview={shown} own={() => setShows("sample")} />}
        {shown === undefined && error === undefined && !waits && <Loading what="Asking the node" />}
      </div>
      <Chosen map={map} values={values} onSeen={onSeen} />
    </section>
  );
}

/** What the node has against the settings, in the words of the form; the fields say it, too. */
function Refused({ error }: { error: unknown }) {
  if (!(error instanceof ApiError) || error.faults.length === 0) return <Fault error={error} />;
  return (
    <Note tone="warn">
      <p>The request stands here once the form is right:</p>
      <ul class="plain">
        {faultLines(WEBHOOK, error.faults).map((line) => (
          <li key={line}>{line}</li>
        ))}
      </ul>
    </Note>
  );
}

function Whole({ map, preview, own }: { map: MapRef; preview: Preview; own(): void }) {
  if (preview.event === null) {
    return (
      <Note>
        <p>The map has no stored event to show this with.</p>
        <Button small onClick={own}>
          Type an event of your own
        </Button>
      </Note>
    );
  }
  const { event, sample } = preview;
  return (
    <>
      <div class="row">
        {preview.chosen ? <Status tone="ok">chosen</Status> : <Status tone="off">not chosen</Status>}
        <span>{event.type}</span>
        {sample ? <span class="muted">made up</span> : <EventId map={map} id={event.id} />}
      </div>
      {preview.why !== null && <p class="hint">{preview.why}</p>}
      <Made preview={preview} />
      <details>
        <summary>The event</summary>
        <JsonTree value={event} label="Event" />
      </details>
    </>
  );
}

function Made({ preview }: { preview: Preview }) {
  if (preview.error !== null) return <Note tone="bad">{preview.error}</Note>;
  return preview.request === null ? null : <Shown request={preview.request} />;
}

/** A request as it is sent, without its secrets. */
export function Shown({ request }: { request: MadeRequest }) {
  const { method, url: to, headers, body } = request;
  const head = [`${method} ${to}`, ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`)].join("\n");
  return (
    <>
      <Code text={head} label="Head of the request" />
      <Code text={pretty(body)} label="Body of the request" />
    </>
  );
}

/** JSON on several lines; any other text as it is. */
function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** The stored events of the last hour that the form chooses: the node evaluates the filter. */
function Chosen({ map, values, onSeen }: Pick<LivePreviewProps, "map" | "values" | "onSeen">) {
  const { readEvents } = useAccess();
  const query = JSON.stringify(chosenQuery(values));
  const found = useResource<StoredEvent[] | null>(
    async (signal) => {
      if (!readEvents) return null;
      await sleep(CALM_MS, signal);
      const since = new Date(Date.now() - 3_600_000).toISOString();
      const asked = { ...(JSON.parse(query) as Record<string, string | null>), since, limit: 100 };
      const answer = await api.get<{ data: StoredEvent[] }>(url`/api/maps/${map.id}/events`, { query: asked, signal });
      return answer.data;
    },
    [map.id, query, readEvents],
  );
  const last = useRef<StoredEvent[] | null>(null);
  if (found.data !== undefined) last.current = found.data;
  useEffect(() => onSeen((found.data ?? []) as readonly Seen[]), [found.data]);
  const events = found.error === undefined ? last.current : null;
  if (!readEvents) return null;
  return (
    <div class="stack-tight" aria-live="polite">
      <h3>Of the last hour it chooses</h3>
      <Fault error={found.error} />
      {events !== null && events.length === 0 && <p class="hint">No stored event.</p>}
      {events !== null && events.length > 0 && (
        <>
          <p class="hint">
            {events.length === 100
              ? "100 events or more, the last shown:"
              : `${counted(events.length, "event")}, the last shown:`}
          </p>
          <ul class="plain">
            {events
              .slice(-SHOWN)
              .reverse()
              .map((event) => (
                <li key={event.id} class="row">
                  <EventId map={map} id={event.id} /> <span>{event.type}</span>
                  {event.subject !== undefined && <code>{event.subject}</code>}
                </li>
              ))}
          </ul>
        </>
      )}
    </div>
  );
}

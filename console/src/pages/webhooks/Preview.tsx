// What a webhook would send: the node chooses and renders, nothing is evaluated here.
import { useEffect, useRef, useState } from "preact/hooks";
import { api, ApiError, sleep, url } from "../../api";
import type { Fields } from "../../lib/cel/fields";
import { bodyOf, type Values } from "../../lib/delivery/fields";
import { chosenQuery, WEBHOOK, WHOLE } from "../../lib/delivery/settings";
import { previewOf, type MadeRequest, type Preview } from "../../lib/delivery/preview";
import { counted } from "../../lib/words";
import type { MapRef } from "../../session";
import { Code, Fault, Field, JsonTree, Loading, Note, Status, useResource } from "../../ui";
import { useAccess } from "../delivery/access";
import { EventId } from "../delivery/EventId";
import type { Attempt, StoredEvent, Webhook } from "../delivery/types";

/** How long nothing may change before the node is asked. */
const CALM_MS = 500;
const SHOWN = 5;

/** Whether the node has no previews, or none for whoever is here. */
function isMissing(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  return [403, 405].includes(error.status) || (error.status === 404 && error.code !== "webhook_not_found");
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
    .then((answer) => previewOf(answer.data));
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
  const [event, setEvent] = useState("");
  const { body } = bodyOf(WEBHOOK, values, before, WHOLE);
  // A secret plays no part in what is shown, so it stays here.
  delete body["secret"];
  const ask = JSON.stringify({
    ...(webhook === null ? {} : { webhook: webhook.id }),
    settings: body,
    ...(event.trim() === "" ? {} : { event: event.trim() }),
  });
  // A node that has no previews is asked once, and not at each key: each refusal is a line of the audit log.
  const missing = useRef<unknown>(null);
  const preview = useResource(
    async (signal) => {
      if (missing.current !== null) throw missing.current;
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
  if (preview.data !== undefined) last.current = preview.data;
  const shown = error === undefined ? last.current : undefined;
  useEffect(() => onFaults(isMissing(error) ? undefined : error), [error]);
  useEffect(() => {
    const event = preview.data?.event ?? null;
    if (event !== null) onSeen([event as unknown as Seen]);
  }, [preview.data]);
  return (
    <section class="card preview" aria-label="Preview">
      <h2>Preview</h2>
      {!isMissing(error) && (
        <Field
          label="Event"
          value={event}
          onInput={setEvent}
          placeholder="the newest"
          hint="The id of a stored event. Empty: the newest that it chooses."
          mono
        />
      )}
      <div class="stack" aria-live="polite">
        {isMissing(error) ? (
          <Note>This node shows no preview. Create the webhook paused, and send it a test.</Note>
        ) : (
          <Fault error={error} />
        )}
        {shown !== undefined && <Whole map={map} preview={shown} />}
        {shown === undefined && error === undefined && <Loading what="Asking the node" />}
      </div>
      <Chosen map={map} values={values} onSeen={onSeen} />
    </section>
  );
}

function Whole({ map, preview }: { map: MapRef; preview: Preview }) {
  if (preview.event === null) return <Note>The map has no stored event to show this with.</Note>;
  const { event } = preview;
  return (
    <>
      <div class="row">
        {preview.chosen ? <Status tone="ok">chosen</Status> : <Status tone="off">not chosen</Status>}
        <span>{event.type}</span>
        <EventId map={map} id={event.id} />
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

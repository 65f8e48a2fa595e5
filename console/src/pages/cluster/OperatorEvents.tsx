import { api, ApiError, url } from "../../api";
import type { Event } from "../../lib/history/event";
import { SYSTEM_MAP, toldOf } from "../../lib/operators/words";
import { href } from "../../router";
import { Fault, Section, Status, Time, useResource } from "../../ui";

/** How often they are read, in milliseconds, how far back, and how many are shown. */
const EVERY = 15_000;
const BACK_MS = 24 * 3_600_000;
const SHOWN = 8;
/** Pages that are read at most: the map keeps 10,000 events. */
const MOST_PAGES = 10;

/** What the cluster told its operators in the last day: what happened while nobody looked. */
export function OperatorEvents() {
  const read = useResource(newest, [], EVERY);
  const tail = href(["maps", SYSTEM_MAP, "tail"]);
  // The first leader makes the map; without one there is nothing to tell.
  if (read.data === null) return null;
  return (
    <Section
      title="What happened"
      hint={
        <>
          Operator events of the last day, the newest first. A node that is back within five seconds is not told of:
          above it then says “after a crash”. <a href="/docs/operations/operator-events.html">More</a>
        </>
      }
      actions={<a href={tail}>Operator events</a>}
    >
      <Fault error={read.error} retry={read.reload} />
      {read.data !== undefined && read.data.length === 0 && <p class="muted">Nothing was told.</p>}
      {read.data !== undefined && read.data.length > 0 && (
        <ul class="plain happened">
          {read.data.map((event) => (
            <Line key={event.id} event={event} />
          ))}
        </ul>
      )}
    </Section>
  );
}

function Line({ event }: { event: Event }) {
  const { tone, text, path } = toldOf(event);
  const shown = <Status tone={tone}>{text}</Status>;
  return (
    <li class="row">
      <span class="muted happened-at">
        <Time at={event.ts} />
      </span>
      {path === null ? shown : <a href={href(path)}>{shown}</a>}
    </li>
  );
}

/** The newest events of the last day, the newest first; null if there is no such map yet. */
async function newest(signal: AbortSignal): Promise<Event[] | null> {
  const since = new Date(Date.now() - BACK_MS).toISOString();
  let from: { since: string } | { after: string } = { since };
  let last: Event[] = [];
  try {
    for (let pages = 0; pages < MOST_PAGES; pages++) {
      const path = url`/api/maps/${SYSTEM_MAP}/events`;
      const query = { ...from, limit: 1000 };
      const page: { data: Event[]; cursor: string | null; has_more: boolean } = await api.get(path, { query, signal });
      last = [...last, ...page.data].slice(-SHOWN);
      if (!page.has_more || page.cursor === null) break;
      from = { after: page.cursor };
    }
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
  return last.reverse();
}

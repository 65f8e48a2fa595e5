// The list of subjects, and how fast each grows.
import { useRef } from "preact/hooks";
import { api } from "../../api";
import { useResource, type Resource } from "../../ui";

/** How often the list is read, in milliseconds. */
const EVERY = 5000;

interface Listed {
  subject: string;
  first_seq: number | null;
  last_seq: number | null;
  count: number;
  bytes: number;
  subscriptions: number;
  users: number;
}

export interface Subject extends Listed {
  /** Stored events a second since the last reading. Null if it was not read before, or if events were removed since. */
  rate: number | null;
}

export interface Subjects<T> {
  rows: T[];
  more: boolean;
  silent: { id: number; name: null }[];
}

/** Stands in addresses for the map's own subject, whose name is empty. No subject has this character. */
const OWN = "~";

export function toQuery(subject: string): string {
  return subject === "" ? OWN : subject;
}

export function fromQuery(text: string | null): string | null {
  return text === OWN ? "" : text;
}

export async function readSubjects(
  path: string,
  prefix: string,
  limit: number,
  signal: AbortSignal,
): Promise<Subjects<Listed>> {
  interface Answer {
    data: Listed[];
    has_more: boolean;
    silent_nodes?: number[];
  }
  const answer = await api.get<Answer>(path, { query: { prefix, limit }, signal });
  const silent = (answer.silent_nodes ?? []).map((id) => ({ id, name: null }));
  return { rows: answer.data, more: answer.has_more, silent };
}

/** Reads the list again and again, and compares. */
export function useSubjects(
  load: (signal: AbortSignal) => Promise<Subjects<Listed>>,
  deps: readonly unknown[],
): Resource<Subjects<Subject>> {
  const before = useRef<{ at: number; rows: Map<string, Listed> }>({ at: 0, rows: new Map() });
  return useResource(
    async (signal) => {
      const list = await load(signal);
      const [now, was] = [Date.now(), before.current];
      before.current = { at: now, rows: new Map(list.rows.map((row) => [row.subject, row])) };
      const rows = list.rows.map((row) => ({ ...row, rate: rate(was.rows.get(row.subject), row, now - was.at) }));
      return { ...list, rows };
    },
    deps,
    EVERY,
  );
}

/** Events are removed at the front: while the first stays, what is more is new. */
function rate(was: Listed | undefined, row: Listed, milliseconds: number): number | null {
  if (was === undefined || milliseconds <= 0) return null;
  if (was.last_seq === row.last_seq) return 0;
  const whole = was.first_seq === row.first_seq || was.first_seq === null;
  return whole && row.count >= was.count ? ((row.count - was.count) * 1000) / milliseconds : null;
}

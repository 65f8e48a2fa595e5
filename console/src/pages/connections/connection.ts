import { counted } from "../../lib/words";
import { span } from "../../lib/delivery/state";
import { bytes } from "../../ui/format";

/** One connection of a client, as the API lists it. Nodes of an earlier release do not tell all of it. */
export interface Connection {
  id: string;
  node: { id: number; name: string | null };
  /** The protocol's own name, as in metrics. */
  protocol: string;
  /** From where it was opened; null if it has just ended. */
  address: string | null;
  /** The client's port; null if it has no connection of its own. */
  port?: number | null;
  /** What the client calls itself. */
  user_agent?: string | null;
  /** The id of its token; null if it has none. */
  token: string | null;
  /** The app whose key opened it, in place of a token. */
  app: { app_id: string; key: string } | null;
  user: string | null;
  age_seconds: number;
  /** Subjects and patterns, at most 20; "" is the map's own, "*" all. */
  subjects: string[];
  subjects_total?: number;
  lag_events: number;
  lag_bytes: number;
  /** Bytes that were sent and that the client has not taken, which `lag_bytes` has, too. */
  unsent_bytes?: number;
  /** For how long something has waited for the client to take it. */
  waiting_seconds?: number;
}

/** A connection that was closed because its client read too slowly, as it was then. */
export interface Closed extends Connection {
  closed_at: string;
  reason: string;
}

/** Protocols by which connections can be chosen. */
export const PROTOCOLS: readonly string[] = ["phoenix", "pusher", "live", "sse", "longpoll", "ingest"];

/** From where a connection was opened, in words. */
export function addressOf(connection: Connection): string {
  const { address, port } = connection;
  if (address === null) return "an address that is no longer known";
  if (port === null || port === undefined) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Who opened a connection, in words; null for the admin. */
export function openedBy(connection: Connection, nameOf: (token: string) => string): string | null {
  const user = connection.user === null ? null : `user ${connection.user}`;
  const by =
    connection.app !== null
      ? `app ${connection.app.key}`
      : connection.token === null
        ? null
        : `token ${nameOf(connection.token)}`;
  const parts = [user, by].filter((part) => part !== null);
  return parts.length === 0 ? null : parts.join(", ");
}

/** The node of a connection. */
export function nodeOf(connection: Connection): string {
  return connection.node.name ?? `node ${connection.node.id}`;
}

/** A client for which something has waited so long does not keep up (seconds). */
const SLOW_S = 5;

/** How far a client is behind, in words. */
export interface Lag {
  /** Events that it was not sent yet. */
  events: string;
  /** What waits in the node's memory and in the connection; null if nothing does. */
  where: string | null;
  /** Since when it does not keep up; null if it does. */
  slow: string | null;
}

/** What a client lacks; null if it lacks nothing. */
export function lagOf(connection: Connection): Lag | null {
  const { lag_events: events, lag_bytes: all, unsent_bytes: unsent = 0, waiting_seconds: waits = 0 } = connection;
  if (events === 0 && all === 0 && waits < SLOW_S) return null;
  const held = Math.max(0, all - unsent);
  const where = [
    held > 0 && `${bytes(held)} in the node`,
    // It is sent, so that no event is behind; but the client has not read it.
    unsent > 0 && `${bytes(unsent)} sent, not read`,
  ].filter((part) => part !== false);
  return {
    events: counted(events, "event"),
    where: where.length === 0 ? null : where.join(", "),
    slow: waits < SLOW_S ? null : `does not keep up, for ${span(waits * 1000)}`,
  };
}

/** Why a connection was closed, in words. */
export function closedWords(reason: string): string {
  const words: Record<string, string> = {
    too_slow: "it read too slowly",
    fell_out: "it missed ephemeral events",
  };
  return words[reason] ?? reason.replaceAll("_", " ");
}

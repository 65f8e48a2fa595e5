/** One connection of a client, as the API lists it. */
export interface Connection {
  id: string;
  node: { id: number; name: string | null };
  /** The protocol's own name, as in metrics. */
  protocol: string;
  /** From where it was opened; null if it has just ended. */
  address: string | null;
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
}

/** Protocols by which connections can be chosen. */
export const PROTOCOLS: readonly string[] = ["phoenix", "pusher", "live", "sse", "longpoll", "ingest"];

/** From where a connection was opened, in words. */
export function addressOf(connection: Connection): string {
  return connection.address ?? "an address that is no longer known";
}

/** Who opened a connection, in words; null for the admin. */
export function openedBy(connection: Connection, nameOf: (token: string) => string): string | null {
  if (connection.user !== null) return `user ${connection.user}`;
  if (connection.app !== null) return `app ${connection.app.key}`;
  return connection.token === null ? null : `token ${nameOf(connection.token)}`;
}

/** The node of a connection. */
export function nodeOf(connection: Connection): string {
  return connection.node.name ?? `node ${connection.node.id}`;
}

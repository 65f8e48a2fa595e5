// Clients that nodes closed because they read too slowly.
import { api, ApiError, url } from "../../api";
import { commandLine } from "../../lib/delivery/commands";
import type { MapRef } from "../../session";
import { Command, duration, Section, Table, Time, Unreachable, useResource, type Column } from "../../ui";
import { mapWord } from "../delivery/types";
import { Client } from "./Client";
import { closedWords, lagOf, nodeOf, type Closed } from "./connection";

/** How often the list is read again, in milliseconds. */
const EVERY = 10_000;

interface Answer {
  data: Closed[];
  unreachable: { id: number; name: string | null }[];
}

export function ClosedConnections({ map, nameOf }: { map: MapRef; nameOf(token: string): string }) {
  const closed = useResource(
    (signal) => api.get<Answer>(url`/api/maps/${map.id}/connections/closed`, { signal }),
    [map.id],
    EVERY,
  );
  // A node of an earlier release remembers none.
  if (closed.error instanceof ApiError && [404, 405].includes(closed.error.status)) return null;
  return (
    <Section
      title="Closed lately: too slow"
      hint="Clients that read too slowly, as they were when a node closed them. They come back by themselves. Each node remembers the last ones until it is started again."
    >
      <Unreachable nodes={closed.data?.unreachable ?? []} />
      <Table
        caption="Connections that were closed as too slow"
        columns={columnsOf(nameOf)}
        rows={closed.data?.data}
        rowKey={(one) => `${one.id} ${one.closed_at}`}
        loading={closed.loading}
        error={closed.error}
        retry={closed.reload}
        empty={<p class="hint">No node remembers any.</p>}
      />
      <Command line={commandLine(["connection", "closed"], [mapWord(map)])} />
    </Section>
  );
}

function columnsOf(nameOf: (token: string) => string): readonly Column<Closed>[] {
  return [
    { key: "closed", title: "Closed", cell: (one) => <Time at={one.closed_at} />, sort: (one) => one.closed_at },
    {
      key: "client",
      title: "Client",
      cell: (one) => <Client connection={one} nameOf={nameOf} />,
      sort: (one) => one.address ?? "",
    },
    { key: "why", title: "Why", cell: (one) => closedWords(one.reason) },
    { key: "protocol", title: "Protocol", cell: (one) => one.protocol, sort: (one) => one.protocol, wide: true },
    { key: "node", title: "Node", cell: nodeOf, sort: nodeOf, wide: true, nowrap: true },
    {
      key: "age",
      title: "Was open for",
      cell: (one) => duration(one.age_seconds * 1000),
      sort: (one) => one.age_seconds,
      align: "end",
      wide: true,
    },
    { key: "lag", title: "Was behind", cell: (one) => <Was connection={one} />, align: "end" },
  ];
}

function Was({ connection }: { connection: Closed }) {
  const lag = lagOf(connection);
  if (lag === null) return <>0</>;
  return (
    <div class="stack-none">
      <span>{lag.events}</span>
      {lag.where !== null && <span class="hint">{lag.where}</span>}
    </div>
  );
}

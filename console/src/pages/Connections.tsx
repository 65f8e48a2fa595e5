// The connections of a map: who is there, over which protocol, how far behind, and a button that closes one.
import { useEffect, useMemo, useState } from "preact/hooks";
import { api, url } from "../api";
import { commandLine } from "../lib/delivery/commands";
import { setQuery, route } from "../router";
import {
  Button,
  Checkbox,
  confirm,
  duration,
  Field,
  number,
  PageHead,
  say,
  Select,
  stamp,
  Status,
  Table,
  Unreachable,
  usePages,
  type Column,
} from "../ui";
import { useTokenNames } from "../tokens";
import { useAccess } from "./delivery/access";
import { mapWord } from "./delivery/types";
import { ClosedConnections } from "./connections/Closed";
import { addressOf, lagOf, nodeOf, PROTOCOLS, type Connection } from "./connections/connection";
import { Client } from "./connections/Client";
import type { MapPage } from "./props";

/** Connections of one answer, and rows that are shown at first and more each time. */
const PAGE = 200;
/** Connections that are read at most. */
const MOST = 20_000;
/** How often the list is read again while the page is visible, in milliseconds. */
const EVERY = 5000;

export function Connections({ map }: MapPage) {
  const access = useAccess();
  const nameOf = useTokenNames(map.id);
  const query = route.value.query;
  const protocol = query.get("protocol") ?? "";
  const subject = query.get("subject");
  const [typed, setTyped] = useState(subject ?? "");
  const list = usePages<Connection>(url`/api/maps/${map.id}/connections`, { protocol, subject, limit: PAGE });
  const [whole, setWhole] = useState(false);
  const [shown, setShown] = useState(PAGE);
  // Clients that were told to go stand there until a read no longer has them.
  const [closing, setClosing] = useState<ReadonlySet<string>>(new Set());
  const [held, setHeld] = useState(false);
  const [readAt, setReadAt] = useState<number | null>(null);
  const count = list.items.length;
  const goesOn = whole && list.more && list.error === undefined && count < MOST;
  useEffect(() => {
    if (goesOn && !list.loading) list.next();
  }, [goesOn, count, list.loading]);
  const isFirstPage = !whole && count <= PAGE;
  const isReadAgain = isFirstPage && !held;
  useEffect(() => {
    if (count > 0 || !list.loading) setReadAt(Date.now());
  }, [list.items]);
  useEffect(() => {
    // Many pages are read again only when somebody asks for it: that begins at the first.
    if (!isReadAgain || list.loading) return undefined;
    const timer = setInterval(() => {
      if (!document.hidden) list.reload();
    }, EVERY);
    return () => clearInterval(timer);
  }, [isReadAgain, list.loading]);
  // The furthest behind first: that is what one looks for.
  const rows = useMemo(
    () => [...list.items].sort((a, b) => b.lag_events - a.lag_events || b.lag_bytes - a.lag_bytes),
    [list.items],
  );
  const again = () => {
    setWhole(false);
    setShown(PAGE);
    list.reload();
  };
  const more = () => {
    setShown(shown + PAGE);
    if (list.more && !goesOn && count <= shown) list.next();
  };
  const close = (connection: Connection) =>
    confirm({
      title: `Close the connection of ${addressOf(connection)}?`,
      body: (
        <p>
          {connection.protocol} at {nodeOf(connection)}, open for {duration(connection.age_seconds * 1000)}. Clients
          that keep to their protocol come back and go on where they were.
        </p>
      ),
      command: commandLine(["connection", "close"], [mapWord(map), connection.id]),
      action: "Close the connection",
      danger: true,
      act: () => api.delete(url`/api/maps/${map.id}/connections/${connection.id}`),
    }).then((was) => {
      if (!was) return;
      say("The connection is being closed");
      // What else was read stays: there may be many pages of it.
      setClosing((all) => new Set(all).add(connection.id));
      if (isReadAgain) list.reload();
    });
  return (
    <div class="stack">
      <PageHead
        title="Connections"
        actions={
          <>
            {list.more && !whole && <Button onClick={() => setWhole(true)}>Read all</Button>}
            <Button onClick={again}>Read again</Button>
          </>
        }
      >
        Clients that are connected to any node, and how far they are behind.{" "}
        {list.more ? `There are more than the ${number(count)} read so far; of those, the` : "The"} furthest first.
        {readAt !== null && ` As of ${stamp(readAt)}${isReadAgain ? `, read every ${EVERY / 1000} seconds` : ""}.`} A
        client that takes too little for too long is closed.
      </PageHead>
      <form
        class="row row-bottom"
        onSubmit={(event) => {
          event.preventDefault();
          setQuery({ subject: typed === "" ? null : typed });
        }}
      >
        <Select
          label="Protocol"
          value={protocol}
          onChange={(name) => setQuery({ protocol: name || null })}
          options={protocolsOf(protocol)}
        />
        <Field label="Subject" value={typed} onInput={setTyped} placeholder="orders-7" />
        <Button type="submit">Find</Button>
        {isFirstPage && <Checkbox label="Hold the list" checked={held} onChange={setHeld} />}
        {(protocol !== "" || subject !== null) && (
          <Button
            kind="quiet"
            onClick={() => {
              setTyped("");
              setQuery({ protocol: null, subject: null });
            }}
          >
            Show all
          </Button>
        )}
      </form>
      <Unreachable nodes={list.unreachable} />
      <Table
        caption="Connections"
        columns={columnsOf(nameOf, closing, access.writeWebhooks ? close : null)}
        rows={rows}
        most={shown}
        rowKey={(connection) => connection.id}
        loading={list.loading}
        error={list.error}
        retry={again}
        empty={protocol !== "" || subject !== null ? "No connection matches" : "Nobody is connected"}
        more={rows.length > shown || list.more ? more : undefined}
      />
      <ClosedConnections map={map} nameOf={nameOf} />
    </div>
  );
}

function protocolsOf(chosen: string): { value: string; label: string }[] {
  const names = chosen === "" || PROTOCOLS.includes(chosen) ? PROTOCOLS : [...PROTOCOLS, chosen];
  return [{ value: "", label: "any" }, ...names.map((name) => ({ value: name, label: name }))];
}

function columnsOf(
  nameOf: (token: string) => string,
  closing: ReadonlySet<string>,
  close: ((connection: Connection) => void) | null,
): readonly Column<Connection>[] {
  return [
    {
      key: "address",
      title: "Client",
      cell: (one) => <Client connection={one} nameOf={nameOf} />,
      sort: (one) => one.address ?? "",
    },
    { key: "protocol", title: "Protocol", cell: (one) => one.protocol, sort: (one) => one.protocol },
    { key: "node", title: "Node", cell: nodeOf, sort: nodeOf, wide: true },
    {
      key: "age",
      title: "Open for",
      cell: (one) => duration(one.age_seconds * 1000),
      sort: (one) => one.age_seconds,
      align: "end",
      wide: true,
    },
    {
      key: "lag",
      title: "Behind",
      cell: (one) => <Lag connection={one} />,
      sort: (one) => one.lag_events,
      align: "end",
    },
    { key: "subjects", title: "Subjects", cell: (one) => <Subjects connection={one} />, wide: true },
    {
      key: "actions",
      title: "",
      cell: (one) =>
        closing.has(one.id) ? (
          <Status tone="off">closing…</Status>
        ) : close === null ? null : (
          <Button small kind="danger" onClick={() => close(one)} title={`Close the connection of ${addressOf(one)}`}>
            Close
          </Button>
        ),
      align: "end",
    },
  ];
}

function Lag({ connection }: { connection: Connection }) {
  const lag = lagOf(connection);
  if (lag === null) return <>0</>;
  return (
    <div class="stack-none">
      <strong>{lag.events}</strong>
      {lag.where !== null && <span class="hint">{lag.where}</span>}
      {lag.slow !== null && <Status tone="warn">{lag.slow}</Status>}
    </div>
  );
}

function Subjects({ connection }: { connection: Connection }) {
  const shown = connection.subjects.slice(0, 3).map((subject) => (subject === "" ? "the map's own" : subject));
  const total = connection.subjects_total ?? connection.subjects.length;
  const more = total - shown.length;
  return (
    <span class="hint" title={connection.subjects.join(", ")}>
      {shown.join(", ")}
      {more > 0 && ` and ${number(more)} more`}
    </span>
  );
}

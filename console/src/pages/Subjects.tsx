import { useState } from "preact/hooks";
import { url } from "../api";
import { counted } from "../lib/words";
import { href, route, setQuery } from "../router";
import { Bytes, Empty, Field, number, PageHead, Table, Unreachable, type Column } from "../ui";
import type { MapPage } from "./props";
import { fromQuery, readSubjects, toQuery, useSubjects, type Subject } from "./subjects/read";
import { SubjectDetail } from "./subjects/SubjectDetail";

/** The subjects that are shown at first, and more each time. */
const STEPS = [100, 300, 1000];

/** The subjects of a map: how much is stored, who listens, who is there. */
export function Subjects({ map }: MapPage) {
  const [step, setStep] = useState(0);
  const { query } = route.value;
  const prefix = query.get("prefix") ?? "";
  const chosen = fromQuery(query.get("subject"));
  const limit = STEPS[step] ?? 100;
  const list = useSubjects(
    (signal) => readSubjects(url`/api/maps/${map.id}/subjects`, prefix, limit, signal),
    [map.id, prefix, limit],
  );
  const found = list.data;
  const open = (subject: string) => setQuery({ subject: chosen === subject ? null : toQuery(subject) });
  return (
    <>
      <PageHead title="Subjects">
        {map.slug}: those with stored events, subscriptions or members. Read again every 5 seconds.
      </PageHead>
      <div class="row row-bottom spread">
        <div class="search">
          <Field
            label="Begins with"
            type="search"
            value={prefix}
            onInput={(value) => setQuery({ prefix: value === "" ? null : value })}
            placeholder="orders-"
            mono
          />
        </div>
        <p class="muted" role="status">
          {found !== undefined &&
            (found.more ? `${number(found.rows.length)} and more subjects` : counted(found.rows.length, "subject"))}
        </p>
      </div>
      <Unreachable nodes={found?.silent ?? []} />
      {chosen !== null && (
        <SubjectDetail
          key={chosen}
          map={map}
          name={chosen}
          row={found?.rows.find((row) => row.subject === chosen)}
          onChanged={list.reload}
        />
      )}
      <Table
        caption="Subjects"
        columns={columns(map.slug)}
        rows={found?.rows}
        rowKey={(row) => row.subject}
        selected={chosen}
        onOpen={(row) => open(row.subject)}
        loading={list.loading}
        error={list.error}
        retry={list.reload}
        more={found?.more === true && step < STEPS.length - 1 ? () => setStep(step + 1) : undefined}
        empty={
          prefix === "" ? (
            <Empty title="No subject is in use.">Publish an event, or let a client subscribe.</Empty>
          ) : (
            "No subject in use begins so."
          )
        }
      />
      {found?.more === true && step === STEPS.length - 1 && (
        <p class="hint">There are more: type how their names begin.</p>
      )}
    </>
  );
}

function columns(slug: string): Column<Subject>[] {
  return [
    {
      key: "subject",
      title: "Subject",
      sort: (row) => row.subject,
      cell: (row) => (
        <a href={href(["maps", slug, "subjects"], { subject: toQuery(row.subject) })}>{shownSubject(row.subject)}</a>
      ),
    },
    {
      key: "rate",
      title: "Events a second",
      align: "end",
      sort: (row) => row.rate ?? -1,
      cell: (row) => (row.rate === null ? <span class="muted">–</span> : rate(row.rate)),
    },
    {
      key: "count",
      title: "Stored",
      align: "end",
      wide: true,
      sort: (row) => row.count,
      cell: (row) => number(row.count),
    },
    {
      key: "bytes",
      title: "Bytes",
      align: "end",
      wide: true,
      sort: (row) => row.bytes,
      cell: (row) => <Bytes value={row.bytes} />,
    },
    {
      key: "subscriptions",
      title: "Subscriptions",
      align: "end",
      sort: (row) => row.subscriptions,
      cell: (row) => number(row.subscriptions),
    },
    { key: "users", title: "Members", align: "end", sort: (row) => row.users, cell: (row) => number(row.users) },
  ];
}

/** The map's own subject has no name. */
export function shownSubject(subject: string) {
  return subject === "" ? <em>the map's own</em> : <code>{subject}</code>;
}

function rate(value: number): string {
  return value === 0 ? "0" : value < 10 ? value.toFixed(1) : number(value);
}

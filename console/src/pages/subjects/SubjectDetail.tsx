import { useEffect, useRef, useState } from "preact/hooks";
import { api, url } from "../../api";
import { curl } from "../../lib/delivery/commands";
import { addressOf, EVERYTHING, subjectItem } from "../../lib/history/wanted";
import { counted } from "../../lib/words";
import { href, setQuery } from "../../router";
import { can, type MapRef } from "../../session";
import {
  Button,
  bytes,
  Code,
  confirm,
  Facts,
  JsonTree,
  number,
  say,
  shell,
  Table,
  useResource,
  type Column,
} from "../../ui";
import type { Subject } from "./read";

/** The members that are shown at first, and more each time: a channel may have 100,000. */
const STEP = 200;

interface Member {
  user_id: string;
  info: unknown;
}

interface Props {
  map: MapRef;
  name: string;
  /** Undefined if the list does not have it. */
  row: Subject | undefined;
  onChanged(): void;
}

/** One subject: what is stored, who is there, and the removal of its history. */
export function SubjectDetail({ map, name, row, onChanged }: Props) {
  const head = useRef<HTMLHeadingElement>(null);
  // The row that was chosen may be far below.
  useEffect(() => head.current?.focus(), []);
  const path = `${url`/api/maps/${map.id}/subjects`}/${encodeURIComponent(name)}`;
  const remove = () =>
    confirm({
      title: name === "" ? "Delete the history of the map's own subject" : `Delete the history of ${name}`,
      body: (
        <>
          <p>
            Its {counted(row?.count, "stored event is", "stored events are")} removed on every node. Readers whose
            position is before them are told of a gap. This cannot be undone.
          </p>
          <Code text={curl("DELETE", path)} label="The same with curl" />
        </>
      ),
      action: "Delete the history",
      danger: true,
      act: async () => {
        const { data } = await api.delete<{ data: { removed: number } }>(path);
        say(`${counted(data.removed, "event is", "events are")} removed`);
        onChanged();
      },
    }).catch(() => {});
  const title = name === "" ? "The map's own subject" : name;
  return (
    <section class="card" aria-label={title}>
      <div class="section-head">
        <h2 ref={head} tabIndex={-1}>
          {title}
        </h2>
        <Button kind="quiet" small icon="close" label="Close" onClick={() => setQuery({ subject: null })} />
      </div>
      <Facts
        facts={[
          ["Stored events", number(row?.count ?? 0)],
          ["Bytes", bytes(row?.bytes ?? 0)],
          ["First seq", number(row?.first_seq)],
          ["Last seq", number(row?.last_seq)],
          ["Subscriptions", number(row?.subscriptions ?? 0)],
          ["Members", number(row?.users ?? 0)],
        ]}
      />
      {name !== "" && (row?.users ?? 0) > 0 && <Members map={map} name={name} path={path} />}
      <div class="row">
        <a
          class="btn btn-plain"
          href={href(["maps", map.slug, "tail"], addressOf({ ...EVERYTHING, subjects: subjectItem(name) }))}
        >
          Follow it
        </a>
        {can("manage") && name !== "" && (
          <a class="btn btn-plain" href={href(["maps", map.slug, "connections"], { subject: name })}>
            Its connections
          </a>
        )}
        {can("manage") && (row?.count ?? 0) > 0 && (
          <Button kind="danger" onClick={remove}>
            Delete the history
          </Button>
        )}
      </div>
    </section>
  );
}

const COLUMNS: readonly Column<Member>[] = [
  { key: "user", title: "User", sort: (member) => member.user_id, cell: (member) => <code>{member.user_id}</code> },
  {
    key: "info",
    title: "Info",
    cell: (member) =>
      member.info === null ? <span class="muted">–</span> : <Info value={member.info} of={member.user_id} />,
  },
];

function Members({ map, name, path }: { map: MapRef; name: string; path: string }) {
  const members = useResource((signal) => api.get<{ data: Member[] }>(`${path}/presence`, { signal }), [path], 5000);
  const [shown, setShown] = useState(STEP);
  const count = members.data?.data.length ?? 0;
  return (
    <div class="stack-tight">
      <h3>Members</h3>
      <Table
        caption="Members"
        columns={COLUMNS}
        rows={members.data?.data}
        rowKey={(member) => member.user_id}
        loading={members.loading}
        error={members.error}
        retry={members.reload}
        most={shown}
        more={count > shown ? () => setShown(shown + STEP) : undefined}
        empty="Nobody is there."
      />
      <p class="hint">
        <code>{`waypost channel members ${shell(map.slug)} ${shell(name)}`}</code>
      </p>
    </div>
  );
}

/** What is so short stands in one line. */
const SHORT = 120;

/** What a member says of itself. */
function Info({ value, of }: { value: unknown; of: string }) {
  const text = JSON.stringify(value);
  return text.length <= SHORT ? <code>{text}</code> : <JsonTree value={value} label={`Info of ${of}`} />;
}

// Who changed what, and who was refused: the audit log of all nodes.
import type { ComponentChildren } from "preact";
import { signal } from "@preact/signals";
import { useMemo, useState } from "preact/hooks";
import { readMaps } from "../maps";
import { go, href, route } from "../router";
import {
  Button,
  Command,
  CopyButton,
  Dialog,
  Empty,
  Facts,
  Field,
  Id,
  JsonTree,
  PageHead,
  Select,
  shell,
  Status,
  Table,
  Time,
  Unreachable,
  usePages,
  useResource,
  type Column,
} from "../ui";
import {
  actionOf,
  ASKED,
  askedOf,
  changesOf,
  faultsOf,
  parametersOf,
  pathOf,
  resultOf,
  subjectOf,
  thingsOf,
  type Asked,
  type Line,
} from "./audit/model";

const PAGE = 100;

export function Audit() {
  const { query } = route.value;
  useResource(readSlugs, []);
  const asked = askedOf(query);
  const key = JSON.stringify(asked);
  const [turn, setTurn] = useState(0);
  // A time such as 1h counts from the moment at which it was asked for.
  const given = useMemo(() => parametersOf(asked, Date.now()), [key, turn]);
  const { items, loading, error, more, next, unreachable, reload } = usePages<Line>("/api/audit", {
    ...given,
    limit: PAGE,
  });
  const [open, setOpen] = useState<Line | null>(null);
  const apply = (wanted: Asked) => {
    go(["audit"], { ...wanted }, true);
    setTurn((was) => was + 1);
    if (JSON.stringify(wanted) === key) reload();
  };
  const narrow = (changes: Partial<Asked>) => {
    setOpen(null);
    apply({ ...asked, ...changes });
  };
  return (
    <>
      <PageHead title="Audit log">
        Each change of a map or of the cluster, and each request for one that was refused. The newest first.
      </PageHead>
      <Filter key={key} asked={asked} onApply={apply} actions={[...new Set(items.map(actionOf))].sort()} />
      <Unreachable nodes={unreachable} />
      <Table
        caption="Audit log"
        columns={COLUMNS}
        rows={loading && items.length === 0 ? undefined : items}
        rowKey={keyOf}
        onOpen={setOpen}
        selected={open === null ? null : keyOf(open)}
        loading={loading}
        error={error}
        retry={reload}
        empty={
          <Empty title="No line">
            {Object.values(asked).some((value) => value !== "")
              ? "No line meets the filter."
              : "Nothing was changed since the nodes began to keep the log."}
          </Empty>
        }
        more={more ? next : undefined}
      />
      <Command line={commandOf(asked)} />
      {open !== null && <Detail line={open} onClose={() => setOpen(null)} onAsk={narrow} />}
    </>
  );
}

/** A line has no id; two lines of a node may have the same time. */
const keys = new WeakMap<Line, string>();
let last = 0;

function keyOf(line: Line): string {
  const known = keys.get(line);
  if (known !== undefined) return known;
  const key = String(++last);
  keys.set(line, key);
  return key;
}

const COLUMNS: readonly Column<Line>[] = [
  { key: "time", title: "Time", cell: (line) => <When line={line} /> },
  { key: "action", title: "Action", cell: (line) => <Action line={line} /> },
  { key: "subject", title: "What", cell: (line) => <What line={line} />, wide: true },
  { key: "result", title: "Result", cell: (line) => <Result line={line} /> },
  { key: "who", title: "Who", cell: (line) => <Who line={line} />, wide: true },
  { key: "map", title: "Map", cell: (line) => <MapLink line={line} />, wide: true },
  { key: "address", title: "Address", cell: (line) => <code>{line.address ?? ""}</code>, wide: true, nowrap: true },
  { key: "node", title: "Node", cell: (line) => line.node.name ?? line.node.id, wide: true, nowrap: true },
];

/** The day stands above the time where there is little room. */
function When({ line }: { line: Line }) {
  return (
    <span class="audit-time">
      <Time at={line.time} exact />
    </span>
  );
}

/** The action; on a phone also what it is about, and who did it. */
function Action({ line }: { line: Line }) {
  return (
    <>
      <b>{actionOf(line)}</b>
      <span class="narrow">
        <What line={line} />
      </span>
      <span class="narrow hint">
        by <Who line={line} />
      </span>
    </>
  );
}

/** Changes that a row of the table has. */
const SHOWN = 2;

/** What the line is about: the kind of the thing and its name or id, with a link where a page shows it; and changes. */
function What({ line }: { line: Line }) {
  const subject = subjectOf(line);
  const changes = changesOf(line);
  const more = changes.length - SHOWN;
  return (
    <span class="stack-none">
      {subject !== null && <Thing line={line} />}
      {changes.slice(0, SHOWN).map((change) => (
        <span key={change} class="hint">
          {change}
        </span>
      ))}
      {more > 0 && <span class="hint">and {more} more</span>}
    </span>
  );
}

function Thing({ line }: { line: Line }) {
  const subject = subjectOf(line);
  if (subject === null) return null;
  const path = pathOf(line, subject);
  const name = subject.name === null ? <Id value={subject.id} chars={20} /> : <b title={subject.id}>{subject.name}</b>;
  return (
    <span>
      {subject.kind} {path === null ? name : <a href={href(path)}>{name}</a>}
    </span>
  );
}

function Result({ line }: { line: Line }) {
  const { tone, text } = resultOf(line);
  return <Status tone={tone}>{text}</Status>;
}

function Who({ line }: { line: Line }) {
  if (line.token !== undefined)
    return (
      <span>
        {line.who === "portal" ? "portal link of" : "token"}{" "}
        {line.token_name === undefined ? <Id value={line.token} /> : <b title={line.token}>{line.token_name}</b>}
      </span>
    );
  if (line.who === "portal") return <span>portal link</span>;
  return <span>{line.who === "unknown" ? "nobody known" : (line.who ?? "")}</span>;
}

/** The slugs of the maps by their ids: lines have ids alone. */
const slugs = signal<ReadonlyMap<string, string>>(new Map());

async function readSlugs(from: AbortSignal): Promise<null> {
  const { maps } = await readMaps(from);
  slugs.value = new Map(maps.flatMap((map) => (map.slug ? [[map.id, map.slug] as const] : [])));
  return null;
}

function MapLink({ line }: { line: Line }) {
  if (line.map === undefined) return null;
  const slug = slugs.value.get(line.map) ?? line.map_name;
  return <a href={href(["maps", slug ?? line.map])}>{slug ?? <Id value={line.map} />}</a>;
}

const WHO = [
  { value: "", label: "everybody" },
  { value: "admin", label: "the admin" },
  { value: "token", label: "tokens of maps" },
  { value: "portal", label: "portal links" },
  { value: "unknown", label: "nobody known" },
] as const;

function Filter(props: { asked: Asked; onApply(asked: Asked): void; actions: readonly string[] }) {
  const { asked, onApply } = props;
  const [draft, setDraft] = useState(asked);
  const change = (name: keyof Asked) => (value: string) => setDraft((was) => ({ ...was, [name]: value }));
  const faults = faultsOf(draft, Date.now());
  const named = WHO.some(({ value }) => value === draft.who);
  return (
    <form
      class="audit-filter"
      role="search"
      aria-label="Which lines are shown"
      onSubmit={(event) => {
        event.preventDefault();
        if (faults.since === null && faults.until === null) onApply(draft);
      }}
    >
      <Field label="Map" value={draft.map} onInput={change("map")} placeholder="all" mono />
      {named ? (
        <Select label="Who" value={draft.who as (typeof WHO)[number]["value"]} onChange={change("who")} options={WHO} />
      ) : (
        <Field label="Who" value={draft.who} onInput={change("who")} mono />
      )}
      <Field
        label="Action"
        value={draft.action}
        onInput={change("action")}
        placeholder="create"
        options={props.actions}
      />
      <Field
        label="Result"
        value={draft.result}
        onInput={change("result")}
        placeholder="done"
        options={["done", "unknown", "forbidden", "unauthorized", "not_found"]}
      />
      <Field label="Since" value={draft.since} onInput={change("since")} fault={faults.since} placeholder="2h" />
      <Field label="Until" value={draft.until} onInput={change("until")} fault={faults.until} placeholder="now" />
      <div class="row wanted-do">
        <Button type="submit" kind="primary">
          Show
        </Button>
        <Button
          kind="quiet"
          disabled={Object.values(draft).every((value) => value === "")}
          onClick={() => onApply(askedOf(new URLSearchParams()))}
        >
          Show all
        </Button>
      </div>
    </form>
  );
}

function Detail(props: { line: Line; onClose(): void; onAsk(changes: Partial<Asked>): void }) {
  const { line, onAsk } = props;
  const facts: (readonly [string, ComponentChildren])[] = [
    ["Time", <Time at={line.time} exact />],
    ["Result", <Result line={line} />],
    ["Status", line.status ?? "none: the caller left before the answer"],
    ["Node", line.node.name ?? line.node.id],
    ["Who", <Who line={line} />],
    ...(line.token === undefined ? [] : [["Token", <code>{line.token}</code>] as const]),
    ["Address", line.address ?? ""],
    ...(line.map === undefined ? [] : [["Map", <MapLink line={line} />] as const]),
    ...(subjectOf(line) === null ? [] : [["What", <Thing line={line} />] as const]),
    ...thingsOf(line).map(([name, value]) => [name.replaceAll("_", " "), <code>{value}</code>] as const),
  ];
  return (
    <Dialog title={actionOf(line)} onClose={props.onClose} wide>
      <Facts facts={line.lost === undefined ? facts : facts.slice(0, 2)} />
      {line.path !== undefined && (
        <p>
          <code>
            {line.method} {line.path}
          </code>
        </p>
      )}
      <Changed line={line} />
      <div class="row">
        {line.map !== undefined && (
          <>
            <a class="btn btn-plain btn-small" href={href(["maps", line.map])} onClick={props.onClose}>
              <span>Open the map</span>
            </a>
            <Button small onClick={() => onAsk({ map: line.map ?? "" })}>
              Only this map
            </Button>
          </>
        )}
        {line.who !== undefined && (
          <Button small onClick={() => onAsk({ who: line.token ?? line.who ?? "" })}>
            Only this caller
          </Button>
        )}
        <CopyButton text={JSON.stringify(line, null, 2)} label="Copy the line as JSON" />
      </div>
      <JsonTree value={line} label="The whole line" />
    </Dialog>
  );
}

/** The settings that were changed. Of some the log does not tell the values. */
function Changed({ line }: { line: Line }) {
  const changes = changesOf(line);
  if (changes.length === 0) return null;
  return (
    <div class="stack-tight">
      <h3>Changed</h3>
      <ul class="changes">
        {changes.map((change) => (
          <li key={change}>
            <code>{change}</code>
          </li>
        ))}
      </ul>
    </div>
  );
}

function commandOf(asked: Asked): string {
  const options = ASKED.filter((name) => asked[name].trim() !== "").map(
    (name) => `--${name} ${shell(asked[name].trim())}`,
  );
  return ["waypost audit", ...options].join(" ");
}

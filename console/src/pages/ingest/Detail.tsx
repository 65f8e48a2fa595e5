import { useState } from "preact/hooks";
import { api, url, type Schemas } from "../../api";
import { commandLine } from "../../lib/delivery/commands";
import { fieldsOf, valuesOf } from "../../lib/delivery/fields";
import { isRefused, SOURCE, verdictWords, wayOf } from "../../lib/delivery/source-settings";
import { sourceState } from "../../lib/delivery/state";
import { go, href } from "../../router";
import type { MapRef } from "../../session";
import {
  Button,
  bytes,
  Card,
  Checkbox,
  Code,
  confirm,
  Facts,
  Fault,
  LinkButton,
  Loading,
  Note,
  number,
  PageHead,
  say,
  Section,
  Status,
  Table,
  Time,
  useHeld,
  useResource,
  type Column,
} from "../../ui";
import { EventId } from "../delivery/EventId";
import { Gone, isGone } from "../delivery/Gone";
import { mapWord } from "../delivery/types";
import type { Source } from "./List";
import { RotateSource } from "./Rotate";

type Delivery = Schemas["SourceDelivery"];

const EVERY = 4000;

export function SourceDetail({ map, id }: { map: MapRef; id: string }) {
  const path = url`/api/maps/${map.id}/ingest/${id}`;
  const source = useResource(
    (signal) => api.get<{ data: Source }>(path, { signal }).then((answer) => answer.data),
    [path],
    EVERY,
  );
  if (source.data === undefined) {
    if (isGone(source.error)) return <Gone what="ingest source" list={href(["maps", mapWord(map), "ingest"])} />;
    return (
      <>
        <PageHead title="Ingest source" />
        {source.error === undefined ? <Loading /> : <Fault error={source.error} retry={source.reload} />}
      </>
    );
  }
  const one = source.data;
  const said = sourceState(one.status);
  const way = wayOf(one.authentication);
  return (
    <>
      <PageHead title={one.name || id} actions={<Actions map={map} source={one} path={path} changed={source.reload} />}>
        <a href={href(["maps", mapWord(map), "ingest"])}>Ingest</a> · {way.label}
      </PageHead>
      <Fault error={source.error} />
      {said.tone === "bad" && said.why !== null && <Note tone="bad">{said.why}</Note>}
      <Section title="Address" hint={way.todo}>
        <Code text={one.url} label="Address for the sender" />
      </Section>
      <Section title="State">
        <Card>
          <Facts
            facts={[
              ["State", <Status tone={said.tone}>{said.word}</Status>],
              ["Events", number(one.eventsReceived)],
              ["Newest event", <Time at={one.lastEventAt ?? null} />],
              ["Created", <Time at={one.createdAt} />],
              ...overlap(one),
            ]}
          />
        </Card>
      </Section>
      <Deliveries map={map} path={path} />
      <Settings source={one} />
    </>
  );
}

function overlap(source: Source): [string, preact.ComponentChildren][] {
  const until = source.previousSecretUntil;
  return typeof until === "string" ? [["The old secret ends", <Time at={until} />]] : [];
}

interface ActionProps {
  map: MapRef;
  source: Source;
  path: string;
  changed(): void;
}

function Actions({ map, source, path, changed }: ActionProps) {
  const [rotating, setRotating] = useState(false);
  const things = [mapWord(map), source.id];
  const name = source.name || source.id;
  const active = source.active !== false;
  const toggle = () =>
    confirm({
      title: active ? `Stop ${name}?` : `Start ${name}?`,
      body: (
        <p>
          {active
            ? "Its senders get 404 until it is started again. What they send meanwhile is lost unless they repeat it."
            : "It takes events again."}
        </p>
      ),
      command: commandLine(["ingest", "update"], things, { active: active ? "false" : "true" }),
      action: active ? `Stop ${name}` : `Start ${name}`,
      danger: active,
      act: () => api.patch(path, { active: !active }),
    }).then((was) => was && changed());
  const end = () =>
    confirm({
      title: `End the rotation of ${name}?`,
      body: <p>The old secret is not valid any more from now on. Senders that still use it are refused.</p>,
      command: commandLine(["ingest", "rotate"], things, { end: true }),
      action: "End the rotation",
      danger: true,
      act: () => api.delete(`${path}/rotate`),
    }).then((was) => was && changed());
  const remove = () =>
    confirm({
      title: `Delete the ingest source ${name}?`,
      body: <p>Its address answers 404 from then on, for ever. Its events stay.</p>,
      command: commandLine(["ingest", "delete"], things),
      action: `Delete ${name}`,
      danger: true,
      type: name,
      act: () => api.delete(path),
    }).then((was) => {
      if (!was) return;
      say(`${name} is deleted`);
      go(["maps", mapWord(map), "ingest"]);
    });
  return (
    <>
      <Button icon={active ? "pause" : "play"} onClick={toggle}>
        {active ? "Stop" : "Start"}
      </Button>
      {source.authentication !== "none" && <Button onClick={() => setRotating(true)}>Rotate secret</Button>}
      {typeof source.previousSecretUntil === "string" && <Button onClick={end}>End the rotation</Button>}
      <LinkButton href={href(["maps", mapWord(map), "ingest", source.id, "edit"])}>Edit</LinkButton>
      <Button kind="danger" onClick={remove}>
        Delete
      </Button>
      {rotating && (
        <RotateSource map={map} source={source} path={path} changed={changed} close={() => setRotating(false)} />
      )}
    </>
  );
}

function Deliveries({ map, path }: { map: MapRef; path: string }) {
  const [refused, setRefused] = useState(false);
  const list = useResource(
    (signal) => api.get<{ data: Delivery[] }>(`${path}/deliveries`, { signal }).then((answer) => answer.data),
    [path],
    EVERY,
  );
  const { rows, box } = useHeld(list.data);
  return (
    <Section
      title="Deliveries"
      hint="The last 20 requests over all nodes, which keep them in memory."
      actions={
        <>
          {box}
          <Checkbox label="Only refused ones" checked={refused} onChange={setRefused} />
        </>
      }
    >
      <Table
        caption="Deliveries"
        columns={columnsOf(map)}
        rows={rows?.filter((one) => !refused || isRefused(one.verdict))}
        rowKey={(one) => `${one.at} ${one.node} ${one.address} ${one.firstId} ${one.bytes}`}
        loading={list.loading}
        error={list.error}
        retry={list.reload}
        empty={refused ? "None of the last requests was refused" : "No request has come yet"}
      />
    </Section>
  );
}

function columnsOf(map: MapRef): readonly Column<Delivery>[] {
  return [
    { key: "at", title: "When", cell: (one) => <Time at={one.at ?? null} />, sort: (one) => one.at ?? null },
    {
      key: "verdict",
      title: "Result",
      cell: (one) => (
        <div class="stack-none">
          <Status tone={isRefused(one.verdict) ? "bad" : "ok"}>
            {`${one.status ?? ""} ${verdictWords(one.verdict ?? "")}`.trim()}
          </Status>
          {typeof one.message === "string" && <span class="hint">{one.message}</span>}
        </div>
      ),
      sort: (one) => one.verdict ?? "",
    },
    { key: "events", title: "Events", cell: (one) => number(one.events ?? 0), align: "end" },
    {
      key: "bytes",
      title: "Size",
      cell: (one) => bytes(one.bytes),
      sort: (one) => one.bytes ?? 0,
      align: "end",
      wide: true,
    },
    { key: "type", title: "Media type", cell: (one) => one.contentType ?? "–", wide: true },
    {
      key: "from",
      title: "From",
      cell: (one) => <code>{one.address ?? "–"}</code>,
      sort: (one) => one.address ?? "",
      wide: true,
    },
    {
      key: "first",
      title: "First event",
      cell: (one) => (typeof one.firstId === "string" ? <EventId map={map} id={one.firstId} /> : "–"),
      wide: true,
    },
  ];
}

function Settings({ source }: { source: Source }) {
  const values = valuesOf(SOURCE, source as Readonly<Record<string, unknown>>);
  const set = fieldsOf(SOURCE).filter((field) => (values[field.path] ?? "") !== "" && field.shown?.(values) !== false);
  const long = set.filter((field) => field.kind === "json" || field.kind === "code");
  return (
    <Section title="Settings">
      <Card>
        <Facts
          facts={[
            ["Id", <code>{source.id}</code>],
            ...set
              .filter((field) => !long.includes(field))
              .map((field) => [field.label, <span class="pre">{values[field.path]}</span>] as const),
          ]}
        />
        {long.map((field) => (
          <div key={field.path} class="stack-tight">
            <h3>{field.label}</h3>
            <Code text={values[field.path] ?? ""} label={field.label} />
          </div>
        ))}
      </Card>
    </Section>
  );
}

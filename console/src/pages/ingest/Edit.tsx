import { useRef, useState } from "preact/hooks";
import { api, ApiError, url } from "../../api";
import { curl } from "../../lib/delivery/commands";
import { bodyOf, faultsOf, isTouched, valuesOf, type Values } from "../../lib/delivery/fields";
import { NEW_SOURCE, SOURCE, wayOf } from "../../lib/delivery/source-settings";
import { go, href } from "../../router";
import type { MapRef } from "../../session";
import {
  Button,
  Command,
  Fault,
  LinkButton,
  Loading,
  Note,
  PageHead,
  say,
  useAction,
  useResource,
  useUnsaved,
} from "../../ui";
import { showSecret } from "../delivery/Secret";
import { Gone, isGone } from "../delivery/Gone";
import { SettingsForm } from "../delivery/SettingsForm";
import { mapWord } from "../delivery/types";
import type { Source } from "./List";
import { secretOf } from "./Rotate";

export function NewSource({ map }: { map: MapRef }) {
  return (
    <>
      <PageHead title="New ingest source">
        <a href={href(["maps", mapWord(map), "ingest"])}>Ingest</a>
      </PageHead>
      <Form map={map} source={null} />
    </>
  );
}

export function EditSource({ map, id }: { map: MapRef; id: string }) {
  const path = url`/api/maps/${map.id}/ingest/${id}`;
  const source = useResource(
    (signal) => api.get<{ data: Source }>(path, { signal }).then((answer) => answer.data),
    [path],
  );
  const name = source.data?.name || id;
  if (isGone(source.error)) return <Gone what="ingest source" list={href(["maps", mapWord(map), "ingest"])} />;
  return (
    <>
      <PageHead title={`Edit ${name}`}>
        <a href={href(["maps", mapWord(map), "ingest"])}>Ingest</a> ·{" "}
        <a href={href(["maps", mapWord(map), "ingest", id])}>{name}</a>
      </PageHead>
      <Fault error={source.error} retry={source.reload} />
      {source.data === undefined && source.error === undefined && <Loading />}
      {source.data !== undefined && <Form map={map} source={source.data} />}
    </>
  );
}

const SECRETS = ["secretKey", "apiKey", "publicKey", "jwks"];

function Form({ map, source }: { map: MapRef; source: Source | null }) {
  const before = useRef<Values | null>(
    source === null ? null : valuesOf(SOURCE, source as Readonly<Record<string, unknown>>),
  ).current;
  const [values, setValues] = useState<Values>(before ?? NEW_SOURCE);
  const { busy, error, run } = useAction();
  const sent = bodyOf(SOURCE, values, before);
  const refused = error instanceof ApiError ? faultsOf(SOURCE, error.faults) : { of: {}, rest: [] };
  const nothing = Object.keys(sent.body).length === 0;
  const ready = Object.keys(sent.faults).length === 0 && !nothing;
  const way = wayOf(values["authentication"]);
  const list = ["maps", mapWord(map), "ingest"];
  const path = url`/api/maps/${map.id}/ingest`;
  const saved = useUnsaved(isTouched(values, before ?? NEW_SOURCE), "What you have typed for this source");
  const save = async () => {
    let made: Source | null = null;
    const well = await run(async () => {
      const answer =
        source === null
          ? await api.post<{ data: Source }>(path, sent.body)
          : await api.patch<{ data: Source }>(`${path}${url`/${source.id}`}`, sent.body);
      made = answer.data;
    });
    if (!well || made === null) return;
    saved();
    const done: Source = made;
    const secret = secretOf(done);
    const name = done.name || done.id;
    if (secret !== null && sent.body["secretKey"] === undefined)
      await showSecret(`The secret of ${name}`, secret, way.todo);
    say(source === null ? `${name} is created` : `${name} is changed`);
    go([...list, done.id]);
  };
  const line = () => {
    const shown = Object.fromEntries(
      Object.entries(sent.body).map(([field, value]) => [field, SECRETS.includes(field) ? "…" : value]),
    );
    const at = url`/api/maps/${mapWord(map)}/ingest`;
    return source === null ? curl("POST", at, shown) : curl("PATCH", `${at}${url`/${source.id}`}`, shown);
  };
  return (
    <form
      class="stack form"
      onSubmit={(event) => {
        event.preventDefault();
        if (ready) save().catch(() => {});
      }}
    >
      <SettingsForm
        groups={SOURCE}
        values={values}
        onChange={(at, text) => setValues((was) => ({ ...was, [at]: text }))}
        faults={{ ...refused.of, ...sent.faults }}
        exists={source !== null}
      />
      <Note tone={way.secret === "none" ? "warn" : "info"}>{way.todo}</Note>
      {refused.rest.map((fault) => (
        <Note key={fault} tone="bad">
          {fault}
        </Note>
      ))}
      <Fault error={error} />
      {ready && <Command line={line()} />}
      <div class="row">
        <Button type="submit" kind="primary" busy={busy} disabled={!ready}>
          {source === null ? "Create the source" : "Save the changes"}
        </Button>
        <LinkButton href={href(source === null ? list : [...list, source.id])}>Cancel</LinkButton>
        {source !== null && nothing && <span class="hint">Nothing is changed.</span>}
      </div>
    </form>
  );
}

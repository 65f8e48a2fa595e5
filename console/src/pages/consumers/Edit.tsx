import { useRef, useState } from "preact/hooks";
import { api, ApiError, url } from "../../api";
import { curl } from "../../lib/delivery/commands";
import { bodyOf, faultsOf, isTouched, valuesOf, type Values } from "../../lib/delivery/fields";
import { CONSUMER, NEW_CONSUMER, WHOLE } from "../../lib/delivery/settings";
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
import { useAccess } from "../delivery/access";
import { Gone, isGone } from "../delivery/Gone";
import { SettingsForm } from "../delivery/SettingsForm";
import { mapWord, type Consumer } from "../delivery/types";
import { createLine } from "./line";

export function NewConsumer({ map }: { map: MapRef }) {
  const { writeConsumers } = useAccess();
  return (
    <>
      <PageHead title="New consumer">
        <a href={href(["maps", mapWord(map), "consumers"])}>Consumers</a>
      </PageHead>
      {writeConsumers ? <Form map={map} consumer={null} /> : <Note>Consumers may not be changed here.</Note>}
    </>
  );
}

export function EditConsumer({ map, name }: { map: MapRef; name: string }) {
  const { writeConsumers } = useAccess();
  const path = url`/api/maps/${map.id}/consumers/${name}`;
  const consumer = useResource(
    (signal) => api.get<{ data: Consumer }>(path, { signal }).then((answer) => answer.data),
    [path],
  );
  if (isGone(consumer.error)) return <Gone what="consumer" list={href(["maps", mapWord(map), "consumers"])} />;
  return (
    <>
      <PageHead title={`Edit ${name}`}>
        <a href={href(["maps", mapWord(map), "consumers"])}>Consumers</a> ·{" "}
        <a href={href(["maps", mapWord(map), "consumers", name])}>{name}</a>
      </PageHead>
      <Fault error={consumer.error} retry={consumer.reload} />
      {!writeConsumers && <Note>Consumers may not be changed here.</Note>}
      {writeConsumers && consumer.data === undefined && consumer.error === undefined && <Loading />}
      {writeConsumers && consumer.data !== undefined && <Form map={map} consumer={consumer.data} />}
    </>
  );
}

function Form({ map, consumer }: { map: MapRef; consumer: Consumer | null }) {
  const before = useRef<Values | null>(
    consumer === null ? null : valuesOf(CONSUMER, consumer as Readonly<Record<string, unknown>>),
  ).current;
  const [values, setValues] = useState<Values>(before ?? NEW_CONSUMER);
  const { busy, error, run } = useAction();
  const sent = bodyOf(CONSUMER, values, before, WHOLE);
  const refused = error instanceof ApiError ? faultsOf(CONSUMER, error.faults) : { of: {}, rest: [] };
  const nothing = Object.keys(sent.body).length === 0;
  const ready = Object.keys(sent.faults).length === 0 && !nothing;
  const path = url`/api/maps/${map.id}/consumers`;
  const list = ["maps", mapWord(map), "consumers"];
  const name = consumer?.name ?? values["name"] ?? "";
  const saved = useUnsaved(isTouched(values, before ?? NEW_CONSUMER), "What you have typed for this consumer");
  const save = async () => {
    const well = await run(() =>
      consumer === null ? api.post(path, sent.body) : api.patch(`${path}${url`/${name}`}`, sent.body),
    );
    if (!well) return;
    saved();
    say(consumer === null ? `${name} is created` : `${name} is changed`);
    go([...list, name]);
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
        groups={CONSUMER}
        values={values}
        onChange={(at, text) => setValues((was) => ({ ...was, [at]: text }))}
        faults={{ ...refused.of, ...sent.faults }}
        exists={consumer !== null}
      />
      {refused.rest.map((fault) => (
        <Note key={fault} tone="bad">
          {fault}
        </Note>
      ))}
      <Fault error={error} />
      {ready && (
        <Command
          line={
            consumer === null
              ? createLine(mapWord(map), sent.body)
              : curl("PATCH", url`/api/maps/${mapWord(map)}/consumers/${name}`, sent.body)
          }
        />
      )}
      <div class="row">
        <Button type="submit" kind="primary" busy={busy} disabled={!ready}>
          {consumer === null ? "Create the consumer" : "Save the changes"}
        </Button>
        <LinkButton href={href(consumer === null ? list : [...list, name])}>Cancel</LinkButton>
        {consumer !== null && nothing && <span class="hint">Nothing is changed.</span>}
      </div>
    </form>
  );
}

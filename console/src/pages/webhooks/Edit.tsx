// The form of a webhook, with a preview of what it would send.
import { useRef, useState } from "preact/hooks";
import { api, ApiError, url } from "../../api";
import { withSettings } from "../../lib/delivery/commands";
import { Fields } from "../../lib/cel/fields";
import { bodyOf, faultsOf, isTouched, valuesOf, type Faults, type Values } from "../../lib/delivery/fields";
import { NEW_WEBHOOK, TEMPLATE, WEBHOOK, WHOLE } from "../../lib/delivery/settings";
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
import { showSecret } from "../delivery/Secret";
import { Gone, isGone } from "../delivery/Gone";
import { SettingsForm } from "../delivery/SettingsForm";
import { mapWord, type Webhook } from "../delivery/types";
import { flat } from "./flat";
import { LivePreview } from "./Preview";
import { TemplateHelp } from "./TemplateHelp";

export function NewWebhook({ map }: { map: MapRef }) {
  const { writeWebhooks } = useAccess();
  return (
    <>
      <PageHead title="New webhook">
        <a href={href(["maps", mapWord(map), "webhooks"])}>Webhooks</a>
      </PageHead>
      {writeWebhooks ? <Form map={map} webhook={null} /> : <Note>Webhooks may not be changed here.</Note>}
    </>
  );
}

export function EditWebhook({ map, id }: { map: MapRef; id: string }) {
  const { writeWebhooks } = useAccess();
  const path = url`/api/maps/${map.id}/webhooks/${id}`;
  // Read once: what is typed must not be overwritten.
  const webhook = useResource(
    (signal) => api.get<{ data: Webhook }>(path, { signal }).then((answer) => answer.data),
    [path],
  );
  const name = webhook.data?.name || id;
  if (isGone(webhook.error)) return <Gone what="webhook" list={href(["maps", mapWord(map), "webhooks"])} />;
  return (
    <>
      <PageHead title={`Edit ${name}`}>
        <a href={href(["maps", mapWord(map), "webhooks"])}>Webhooks</a> ·{" "}
        <a href={href(["maps", mapWord(map), "webhooks", id])}>{name}</a>
      </PageHead>
      <Fault error={webhook.error} retry={webhook.reload} />
      {!writeWebhooks && <Note>Webhooks may not be changed here.</Note>}
      {writeWebhooks && webhook.data === undefined && webhook.error === undefined && <Loading />}
      {writeWebhooks && webhook.data !== undefined && <Form map={map} webhook={webhook.data} />}
    </>
  );
}

type Made = Webhook & { secret?: string };

function Form({ map, webhook }: { map: MapRef; webhook: Webhook | null }) {
  const before = useRef<Values | null>(webhook === null ? null : valuesOf(WEBHOOK, flat(webhook))).current;
  const [values, setValues] = useState<Values>(before ?? NEW_WEBHOOK);
  const [previewed, setPreviewed] = useState<Faults>({});
  const seen = useRef(new Fields()).current;
  const { busy, error, run } = useAction();
  const sent = bodyOf(WEBHOOK, values, before, WHOLE);
  // A function is given up by giving a URL: it cannot be removed.
  if (sent.body["lambda"] === null) delete sent.body["lambda"];
  const refused = error instanceof ApiError ? faultsOf(WEBHOOK, error.faults) : { of: {}, rest: [] };
  const faults = { ...previewed, ...refused.of, ...sent.faults };
  const nothing = Object.keys(sent.body).length === 0;
  const ready = Object.keys(sent.faults).length === 0 && !nothing;
  const list = ["maps", mapWord(map), "webhooks"];
  const saved = useUnsaved(isTouched(values, before ?? NEW_WEBHOOK), "What you have typed for this webhook");
  const save = async () => {
    let made: Made | null = null;
    const well = await run(async () => {
      const answer =
        webhook === null
          ? await api.post<{ data: Made }>(url`/api/maps/${map.id}/webhooks`, sent.body)
          : await api.patch<{ data: Made }>(url`/api/maps/${map.id}/webhooks/${webhook.id}`, sent.body);
      made = answer.data;
    });
    if (!well || made === null) return;
    saved();
    const { id, name, secret } = made as Made;
    // A secret that was typed is known already.
    if (webhook === null && secret !== undefined && sent.body["secret"] === undefined) {
      await showSecret(
        `The secret of ${name || id}`,
        secret,
        "Give it to the receiver, which verifies the signatures with it.",
      );
    }
    say(webhook === null ? `${name || id} is created` : `${name || id} is changed`);
    go([...list, id]);
  };
  return (
    <div class="halves">
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) save().catch(() => {});
        }}
      >
        <SettingsForm
          groups={WEBHOOK}
          values={values}
          onChange={(path, text) => setValues((was) => ({ ...was, [path]: text }))}
          faults={faults}
          exists={webhook !== null}
          seen={seen}
          below={{ [TEMPLATE]: <TemplateHelp /> }}
        />
        {refused.rest.map((fault) => (
          <Note key={fault} tone="bad">
            {fault}
          </Note>
        ))}
        <Refused error={error} />
        {ready && <Command line={lineOf(map, webhook, sent.body)} />}
        <div class="row">
          <Button type="submit" kind="primary" busy={busy} disabled={!ready}>
            {webhook === null ? "Create the webhook" : "Save the changes"}
          </Button>
          <LinkButton href={href(webhook === null ? list : [...list, webhook.id])}>Cancel</LinkButton>
          {webhook !== null && nothing && <span class="hint">Nothing is changed.</span>}
        </div>
      </form>
      <LivePreview
        map={map}
        values={values}
        webhook={webhook}
        before={before}
        onSeen={(events) => {
          for (const event of events) seen.learn(event);
        }}
        onFaults={(found) => setPreviewed(found instanceof ApiError ? faultsOf(WEBHOOK, found.faults).of : {})}
      />
    </div>
  );
}

/** Why it was not saved. What is wrong with a field stands at the field. */
function Refused({ error }: { error: unknown }) {
  if (!(error instanceof ApiError) || error.faults.length === 0) return <Fault error={error} />;
  return <Note tone="bad">It is not saved: mend what is marked, and save again.</Note>;
}

/** The command line that does the same, without what is secret: secrets, headers and addresses of chats. */
function lineOf(map: MapRef, webhook: Webhook | null, body: Readonly<Record<string, unknown>>): string {
  const { secret, headers, ...rest } = body;
  const profile = rest["profile"] ?? webhook?.profile;
  const chat = (profile === "discord" || profile === "slack") && rest["url"] !== undefined;
  const settings = {
    ...rest,
    ...(headers === undefined ? {} : { headers: hidden(headers) }),
    ...(chat ? { url: "…" } : {}),
  };
  if (webhook !== null) {
    const given = secret === undefined ? settings : { ...settings, secret: "…" };
    return withSettings(["webhook", "update"], [mapWord(map), webhook.id], given);
  }
  return withSettings(["webhook", "create"], [mapWord(map)], settings, {
    "secret-file": secret === undefined ? null : "FILE",
  });
}

function hidden(headers: unknown): Record<string, string> {
  const names = typeof headers === "object" && headers !== null ? Object.keys(headers) : [];
  return Object.fromEntries(names.map((name) => [name, "…"]));
}

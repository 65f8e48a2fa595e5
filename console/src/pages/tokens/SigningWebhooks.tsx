import type { ComponentChildren } from "preact";
import { api, explain, url } from "../../api";
import { changeLines, signingWith, signText } from "../../lib/delivery/signing";
import type { MapRef } from "../../session";
import { Code, Note, useResource } from "../../ui";
import type { Webhook } from "../delivery/types";

interface Props {
  map: MapRef;
  /** The key that the webhooks sign with. */
  signs: string;
  /** The key that they are to sign with. */
  next: string;
  /** What follows "2 webhooks still sign". */
  children: ComponentChildren;
}

/** Names the webhooks of a map that sign with a key, and how each gets another one. Nothing is shown without any. */
export function SigningWebhooks({ map, signs, next, children }: Props) {
  const list = useResource(
    (signal) => api.get<{ data: Webhook[] }>(url`/api/maps/${map.id}/webhooks`, { signal }),
    [map.id],
  );
  if (list.data === undefined) {
    if (list.error === undefined) return null;
    return (
      <Note tone="warn">
        The webhooks of the map can't be listed, so look yourself for those that sign with the key {signs}:{" "}
        {explain(list.error)}
      </Note>
    );
  }
  const signing = signingWith(list.data.data, signs);
  if (signing.length === 0) return null;
  return (
    <>
      <Note tone="warn">
        {signText(signing.length)} {children}
      </Note>
      {signing.map((webhook) => {
        const name = webhook.name || webhook.id;
        const lines = changeLines(map.slug, next, webhook);
        return (
          <div key={webhook.id} class="stack-tight">
            <p>
              <strong>{name}</strong>
              {lines === null && ": it is in the configuration file; change its key and secret there."}
            </p>
            {lines !== null && <Code text={lines} label={`Command lines for ${name}`} />}
          </div>
        );
      })}
    </>
  );
}

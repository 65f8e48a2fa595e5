import { useState } from "preact/hooks";
import { api, url } from "../../api";
import { commandLine } from "../../lib/delivery/commands";
import type { MapRef } from "../../session";
import { Button, Command, Dialog, Fault, Field, say, useAction } from "../../ui";
import { mapWord } from "../delivery/types";

/** Sends an event to the webhooks that want it, and to nobody else. */
export function Fire({ map, close }: { map: MapRef; close(): void }) {
  const [type, setType] = useState("broadcast");
  const [text, setText] = useState('{"channel": "orders"}');
  const { busy, error, run } = useAction();
  const data = objectOf(text);
  const fire = async () => {
    if (data === null) return;
    const well = await run(() => api.post(url`/api/maps/${map.id}/webhooks/fire`, { event: type, data }));
    if (!well) return;
    say("The event is on its way to the webhooks that want it.");
    close();
  };
  return (
    <Dialog
      title="Fire an event at webhooks"
      onClose={close}
      actions={
        <>
          <Button onClick={close}>Cancel</Button>
          <Button kind="primary" onClick={fire} busy={busy} disabled={data === null || type === ""}>
            Fire
          </Button>
        </>
      }
    >
      <p>
        The event is stored under <code>$channel/</code> and the channel's name. Webhooks whose filter chooses that get
        it; readers of the channel do not.
      </p>
      <Field label="Type" value={type} onInput={setType} required />
      <Field
        label="Data (a JSON object)"
        value={text}
        onInput={setText}
        lines={5}
        mono
        fault={data === null ? "This is no JSON object." : null}
      />
      <Command line={commandLine(["webhook", "fire"], [mapWord(map), type, text])} />
      <Fault error={error} />
    </Dialog>
  );
}

/** The JSON object that a text is; null if it is none. */
export function objectOf(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null;
  }
}

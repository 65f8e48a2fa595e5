import { useState } from "preact/hooks";
import { api } from "../../api";
import { commandLine } from "../../lib/delivery/commands";
import { Button, Command, Dialog, Fault, Field, useAction } from "../../ui";
import { showSecret } from "../delivery/Secret";
import { mapWord, type Webhook } from "../delivery/types";
import type { ActionProps } from "./Actions";

/** Gives a webhook a new secret, and shows it once. */
export function Rotate({ map, webhook, path, changed, close }: ActionProps & { close(): void }) {
  const [overlap, setOverlap] = useState("");
  const { busy, error, run } = useAction();
  const name = webhook.name || webhook.id;
  const seconds = overlap.trim() === "" ? null : Number(overlap);
  const wrong = seconds !== null && !(Number.isInteger(seconds) && seconds >= 0);
  const rotate = async () => {
    let made: (Webhook & { secret: string }) | null = null;
    const well = await run(async () => {
      const body = seconds === null ? {} : { overlap_seconds: seconds };
      made = (await api.post<{ data: Webhook & { secret: string } }>(`${path}/rotate-secret`, body)).data;
    });
    if (!well || made === null) return;
    close();
    const { secret, secret_previous_until: until } = made as Webhook & { secret: string };
    const old =
      typeof until === "string" ? `The old secret signs too until ${until}.` : "The old secret does not sign any more.";
    changed();
    await showSecret(`The new secret of ${name}`, secret, `Give it to the receiver. ${old}`);
  };
  return (
    <Dialog
      title={`Rotate the secret of ${name}`}
      onClose={close}
      actions={
        <>
          <Button onClick={close}>Cancel</Button>
          <Button kind="primary" onClick={rotate} busy={busy} disabled={wrong}>
            Make a new secret
          </Button>
        </>
      }
    >
      <p>Both secrets sign during the overlap, so that no request is refused while the receiver changes over.</p>
      {(webhook.retrying ?? 0) > 0 && (
        <p>
          What waits for another try waits for its time, because the receiver cannot have the new secret yet. Once it
          has it, send a test: when that is delivered, what waits is tried at once.
        </p>
      )}
      <Field
        label="Overlap (s)"
        value={overlap}
        onInput={setOverlap}
        placeholder="86400"
        hint="Empty: as the nodes are configured, a day if not. 0 ends all old secrets at once."
        fault={wrong ? "The overlap is a whole number of seconds." : null}
      />
      <Command line={commandLine(["webhook", "rotate"], [mapWord(map), webhook.id], { "overlap-seconds": seconds })} />
      <Fault error={error} />
    </Dialog>
  );
}

import { useState } from "preact/hooks";
import { api } from "../../api";
import { commandLine } from "../../lib/delivery/commands";
import { isoOf } from "../../lib/delivery/replay";
import { Button, Command, Dialog, Fault, Field, Select, useAction } from "../../ui";
import { mapWord } from "../delivery/types";
import type { ActionProps } from "./Actions";

type From = "resume" | "skip" | "since";

const FROM: readonly { value: From; label: string }[] = [
  { value: "resume", label: "where it stopped: nothing is lost that the map still keeps" },
  { value: "skip", label: "with the events from now on: the others become dead letters or are skipped" },
  { value: "since", label: "with the events since a time" },
];

/** Enables a webhook, and says where it goes on. */
export function Enable({ map, webhook, path, changed, close }: ActionProps & { close(): void }) {
  const [from, setFrom] = useState<From>("resume");
  const [local, setLocal] = useState("");
  const { busy, error, run } = useAction();
  const since = from === "since" ? isoOf(local) : null;
  const ready = from !== "since" || since !== null;
  const enable = async () => {
    const well = await run(() => api.post(`${path}/enable`, since === null ? { from } : { from, since }));
    if (!well) return;
    changed();
    close();
  };
  const options = from === "since" ? { since } : { from: from === "skip" ? "skip" : null };
  return (
    <Dialog
      title={`Enable ${webhook.name || webhook.id}`}
      onClose={close}
      actions={
        <>
          <Button onClick={close}>Cancel</Button>
          <Button kind="primary" onClick={enable} busy={busy} disabled={!ready}>
            Enable
          </Button>
        </>
      }
    >
      <Select label="Go on" value={from} onChange={(one) => setFrom(one)} options={FROM} />
      {from === "since" && (
        <Field
          label="Since, in your time zone"
          type="datetime-local"
          value={local}
          onInput={setLocal}
          {...(since === null ? {} : { hint: `${since} in UTC` })}
        />
      )}
      {ready && <Command line={commandLine(["webhook", "enable"], [mapWord(map), webhook.id], options)} />}
      <Fault error={error} />
    </Dialog>
  );
}

import { useState } from "preact/hooks";
import { api } from "../../api";
import { commandLine } from "../../lib/delivery/commands";
import { wayOf } from "../../lib/delivery/source-settings";
import type { MapRef } from "../../session";
import { Button, Command, Dialog, Fault, Field, useAction } from "../../ui";
import { showSecret } from "../delivery/Secret";
import { mapWord } from "../delivery/types";
import type { Source } from "./List";

export interface RotateProps {
  map: MapRef;
  source: Source;
  path: string;
  changed(): void;
  close(): void;
}

/** Replaces the secret of a source. A secret that the node makes is shown once. */
export function RotateSource({ map, source, path, changed, close }: RotateProps) {
  const way = wayOf(source.authentication);
  const byKey =
    way.secret === "jwt" && source.jwt !== undefined && (source.jwt as { algorithm?: string }).algorithm !== "HS256";
  const [given, setGiven] = useState("");
  const [overlap, setOverlap] = useState("");
  const { busy, error, run } = useAction();
  const seconds = overlap.trim() === "" ? null : Number(overlap);
  const wrong = seconds !== null && !(Number.isInteger(seconds) && seconds >= 0);
  const needed = way.secret !== "made" && given.trim() === "";
  const name = source.name || source.id;
  const rotate = async () => {
    let made: Source | null = null;
    const well = await run(async () => {
      const key = given.trim() === "" ? {} : { [byKey ? "publicKey" : "secretKey"]: given.trim() };
      made = (
        await api.post<{ data: Source }>(`${path}/rotate`, {
          ...key,
          ...(seconds === null ? {} : { overlapSeconds: seconds }),
        })
      ).data;
    });
    if (!well || made === null) return;
    close();
    changed();
    const secret = secretOf(made);
    if (secret !== null && given.trim() === "")
      await showSecret(`The new secret of ${name}`, secret, "Give it to the sender before the overlap ends.");
  };
  const options = {
    overlap: seconds,
    "secret-env": !byKey && given !== "" ? "SECRET" : null,
    "public-key": byKey ? "FILE" : null,
  };
  return (
    <Dialog
      title={`Rotate the secret of ${name}`}
      onClose={close}
      actions={
        <>
          <Button onClick={close}>Cancel</Button>
          <Button kind="primary" onClick={rotate} busy={busy} disabled={wrong || needed}>
            Replace the secret
          </Button>
        </>
      }
    >
      <p>The old and the new secret are valid during the overlap.</p>
      <Field
        label={byKey ? "New public key (PEM)" : "New secret"}
        value={given}
        onInput={setGiven}
        {...(byKey ? { lines: 5, mono: true } : { type: "password" as const, autocomplete: "new-password" })}
        hint={way.secret === "made" ? "Empty: the node makes one." : "As the sender gives it."}
        required={way.secret !== "made"}
      />
      <Field
        label="Overlap (s)"
        value={overlap}
        onInput={setOverlap}
        placeholder="86400"
        hint="Empty: as the nodes are configured. 0: only the new one."
        fault={wrong ? "The overlap is a whole number of seconds." : null}
      />
      <Command line={commandLine(["ingest", "rotate"], [mapWord(map), source.id], options)} />
      <Fault error={error} />
    </Dialog>
  );
}

/** The secret that an answer shows, if it shows one. */
export function secretOf(source: Source): string | null {
  return source.secretKey ?? source.apiKey ?? null;
}

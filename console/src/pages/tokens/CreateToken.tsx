import { useState } from "preact/hooks";
import { api, ApiError, url, type Schemas } from "../../api";
import type { MapRef } from "../../session";
import { Button, Checkbox, Command, Dialog, Fault, Field, Group, Secret, shell, useAction } from "../../ui";

type Scope = Schemas["Scopes"][number];

const SCOPES: readonly { scope: Scope; label: string; hint: string }[] = [
  { scope: "subscribe", label: "subscribe", hint: "Read events, as they come and from history" },
  { scope: "publish", label: "publish", hint: "Publish events" },
  { scope: "presence", label: "presence", hint: "Be a member of a subject as any user" },
  { scope: "manage", label: "manage", hint: "Change the map, its tokens, webhooks, consumers and ingest sources" },
];

/** Creates a token, and shows it once. */
export function CreateToken(props: { map: MapRef; onClose(): void; onCreated(): void }) {
  const { map, onClose } = props;
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<readonly Scope[]>(["subscribe"]);
  const [subjects, setSubjects] = useState("");
  const [ends, setEnds] = useState("");
  const [made, setMade] = useState<string | null>(null);
  const { busy, error, run } = useAction();
  const patterns = subjects
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  const endsAt = ends === "" || Number.isNaN(Date.parse(ends)) ? null : new Date(ends).toISOString();
  const manages = scopes.includes("manage");
  const create = () =>
    run(async () => {
      const body: Record<string, unknown> = { name: name === "" ? null : name, scopes };
      if (endsAt !== null) body["expires_at"] = endsAt;
      if (patterns.length > 0 && !manages) body["subjects"] = patterns;
      const { data } = await api.post<{ data: { token: string } }>(url`/api/maps/${map.id}/tokens`, body);
      setMade(data.token);
      props.onCreated();
    });
  const toggle = (scope: Scope) => (on: boolean) =>
    setScopes((was) => SCOPES.map((one) => one.scope).filter((one) => (one === scope ? on : was.includes(one))));
  const fault = (field: string) =>
    error instanceof ApiError ? error.faults.find((one) => one.field.split(".")[0] === field)?.message : undefined;
  if (made !== null) {
    return (
      <Dialog title="The token is made" firm onClose={onClose} actions={<Button onClick={onClose}>Close</Button>}>
        <Secret what={name === "" ? "The new token" : `Token ${name}`} text={made} />
      </Dialog>
    );
  }
  const line = [
    `waypost token create ${shell(map.slug)} --scopes ${scopes.join(",")}`,
    name !== "" && `--name ${shell(name)}`,
    endsAt !== null && `--expires-at ${endsAt}`,
    patterns.length > 0 && !manages && `--subjects ${shell(patterns.join(","))}`,
  ];
  return (
    <Dialog
      title="Create a token"
      onClose={onClose}
      onSubmit={() => {
        if (scopes.length > 0 && !busy) create().catch(() => {});
      }}
      busy={busy}
      actions={
        <>
          <Button onClick={onClose} disabled={busy}>
            Cancel
          </Button>
          <Button kind="primary" type="submit" busy={busy} disabled={scopes.length === 0}>
            Create
          </Button>
        </>
      }
    >
      <Field
        label="Name"
        value={name}
        onInput={setName}
        maxLength={200}
        hint="Who uses it."
        autofocus
        fault={fault("name")}
      />
      <Group legend="What it may do">
        {SCOPES.map(({ scope, label, hint }) => (
          <Checkbox key={scope} label={label} hint={hint} checked={scopes.includes(scope)} onChange={toggle(scope)} />
        ))}
      </Group>
      <Field
        label="Only these subjects"
        value={manages ? "" : subjects}
        onInput={setSubjects}
        lines={3}
        placeholder={"orders-*\nchat-lobby"}
        hint={
          manages
            ? "A token that manages the map has all subjects."
            : "Patterns, one a line; without any, all subjects."
        }
        disabled={manages}
        fault={fault("subjects")}
        mono
      />
      <Field
        label="Ends"
        type="datetime-local"
        value={ends}
        onInput={setEnds}
        hint="In your time zone; empty: never."
        fault={fault("expires_at")}
      />
      <Command line={line.filter(Boolean).join(" ")} />
      <Fault error={error} />
    </Dialog>
  );
}

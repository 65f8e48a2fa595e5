import { useState } from "preact/hooks";
import { curl } from "../../lib/delivery/commands";
import { Button, Code, Dialog, Fault, Field, Group, Note, Select, useAction } from "../../ui";
import {
  CLAIMS,
  toBody,
  toDraft,
  type Algorithm,
  type Draft,
  type Issuer,
  type IssuerBody,
  type KeyKind,
} from "./issuer";

interface Props {
  /** Null for a new one. */
  issuer: Issuer | null;
  path: string;
  others: readonly IssuerBody[];
  onSave(body: IssuerBody): Promise<void>;
  onClose(): void;
}

const KINDS: readonly { value: KeyKind; label: string }[] = [
  { value: "pem", label: "A public key (PEM)" },
  { value: "jwks", label: "A JWKS document" },
  { value: "jwks_url", label: "The address of a JWKS document" },
];

/** An issuer of client tokens. */
export function IssuerForm({ issuer, path, others, onSave, onClose }: Props) {
  const [draft, setDraft] = useState<Draft>(() => toDraft(issuer));
  const [tried, setTried] = useState(false);
  const { busy, error, run } = useAction();
  const { body, faults } = toBody(draft, issuer);
  const fault = (name: string) => (tried ? faults[name] : undefined);
  const set = (changes: Partial<Draft>) => setDraft((was) => ({ ...was, ...changes }));
  const save = () => {
    setTried(true);
    return Object.keys(faults).length === 0 ? run(() => onSave(body)) : undefined;
  };
  const algorithm = (value: Algorithm) => {
    const secret = value === "HS256";
    if (secret === (draft.kind === "secret")) set({ algorithm: value });
    else set({ algorithm: value, kind: secret ? "secret" : "pem", key: "" });
  };
  const shown = [...others, body.secret === undefined ? body : { ...body, secret: "…" }];
  return (
    <Dialog
      title={issuer === null ? "Add an issuer" : `Issuer ${issuer.name}`}
      onClose={onClose}
      wide
      actions={
        <>
          <Button onClick={onClose}>Cancel</Button>
          <Button kind="primary" busy={busy} onClick={save}>
            Save
          </Button>
        </>
      }
    >
      {issuer !== null && <Note tone="warn">If anything of it changes, its clients are closed and join again.</Note>}
      <div class="grid">
        <Field
          label="Name"
          value={draft.name}
          onInput={(name) => set({ name })}
          fault={fault("name")}
          maxLength={64}
          mono
          autofocus
        />
        <Select
          label="Algorithm"
          value={draft.algorithm}
          onChange={algorithm}
          options={(["HS256", "RS256", "ES256", "EdDSA"] as const).map((value) => ({ value, label: value }))}
        />
        {draft.kind !== "secret" && (
          <Select label="Key" value={draft.kind} onChange={(kind) => set({ kind, key: "" })} options={KINDS} />
        )}
      </div>
      <Key draft={draft} set={set} fault={fault("key")} keeps={issuer !== null} />
      <div class="grid">
        <Field
          label="iss must be"
          value={draft.issuer}
          onInput={(text) => set({ issuer: text })}
          fault={fault("issuer")}
        />
        <Field
          label="aud must be"
          value={draft.audience}
          onInput={(text) => set({ audience: text })}
          fault={fault("audience")}
        />
        <Field
          label="Sessions of one sub on a node"
          value={draft.connections}
          onInput={(text) => set({ connections: text })}
          placeholder="100"
          fault={fault("connections")}
        />
      </div>
      <Group
        legend="Claims"
        hint="Paths of the claims that say what a token permits, where they are not those of waypost."
      >
        <div class="grid">
          {CLAIMS.map((name) => (
            <Field
              key={name}
              label={name}
              value={draft.claims[name]}
              onInput={(text) => set({ claims: { ...draft.claims, [name]: text } })}
              placeholder={`waypost.${name}`}
              mono
            />
          ))}
        </div>
      </Group>
      <Fault error={error} />
      {Object.keys(faults).length === 0 && (
        <Code
          text={curl("PUT", path, { issuers: shown })}
          label="The same with curl"
          copy={body.secret === undefined}
        />
      )}
    </Dialog>
  );
}

function Key(props: { draft: Draft; set(changes: Partial<Draft>): void; fault: string | undefined; keeps: boolean }) {
  const { draft, set, fault } = props;
  const given = { value: draft.key, onInput: (key: string) => set({ key }), fault, mono: true };
  if (draft.kind === "secret") {
    const hint = props.keeps
      ? "Leave it empty to keep the one that is stored. It is never shown."
      : "At least 32 bytes.";
    return <Field {...given} label="Secret" type="password" hint={hint} autocomplete="off" />;
  }
  if (draft.kind === "jwks_url")
    return <Field {...given} label="Address of the JWKS document" type="url" hint="https" />;
  return <Field {...given} label={draft.kind === "pem" ? "Public key (PEM)" : "JWKS document"} lines={6} />;
}

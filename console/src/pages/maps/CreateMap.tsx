import { useState } from "preact/hooks";
import { api, ApiError, type Schemas } from "../../api";
import { href } from "../../router";
import { Button, Command, Dialog, Fault, Field, LinkButton, Secret, useAction } from "../../ui";
import { createLine, forNew, LIMITS, RETENTION, sentAs, type Texts } from "../settings/fields";

type Created = Schemas["Map"] & { token: string };

/** Creates a map, and shows its first token. */
export function CreateMap({ onClose, onCreated }: { onClose(): void; onCreated(): void }) {
  const [now, setNow] = useState<Texts>({});
  const [made, setMade] = useState<Created | null>(null);
  const { busy, error, run } = useAction();
  const { body, faults } = forNew(now);
  const bad = Object.keys(faults).length > 0;
  const taken = error instanceof ApiError && error.code === "slug_taken";
  const refused = (path: string) =>
    error instanceof ApiError ? error.faults.find((one) => one.field === path)?.message : undefined;
  const set = (path: string) => (value: string) => setNow((was) => ({ ...was, [path]: value }));
  const create = () =>
    run(async () => {
      setMade((await api.post<{ data: Created }>("/api/maps", body)).data);
      onCreated();
    });
  if (made !== null) {
    const key = made.slug ?? made.id;
    return (
      <Dialog
        title="The map is made"
        firm
        onClose={onClose}
        actions={
          <>
            <Button onClick={onClose}>Close</Button>
            <LinkButton kind="primary" href={href(["maps", key, "overview"])}>
              {`Open ${key}`}
            </LinkButton>
          </>
        }
      >
        <Secret what="The map's first token, with all scopes" text={made.token} />
      </Dialog>
    );
  }
  const field = (path: string, label: string, hint?: string) => (
    <Field
      key={path}
      label={label}
      value={now[path] ?? ""}
      onInput={set(path)}
      hint={[hint, sentAs(path, now[path] ?? "")].filter(Boolean).join(" · ") || undefined}
      fault={faults[path] ?? refused(path)}
      placeholder="as usual"
    />
  );
  return (
    <Dialog
      title="Create a map"
      wide
      onClose={onClose}
      onSubmit={() => {
        if (!bad && !busy) create().catch(() => {});
      }}
      busy={busy}
      actions={
        <>
          <Button onClick={onClose} disabled={busy}>
            Cancel
          </Button>
          <Button kind="primary" type="submit" busy={busy} disabled={bad}>
            Create
          </Button>
        </>
      }
    >
      <Field
        label="Slug"
        value={now["slug"] ?? ""}
        onInput={set("slug")}
        placeholder="orders"
        hint="A short name for addresses and commands. It can be changed later."
        fault={taken ? "Another map has it." : (faults["slug"] ?? refused("slug"))}
        maxLength={63}
        mono
        autofocus
      />
      <Field label="Name" value={now["name"] ?? ""} onInput={set("name")} hint="For people." maxLength={200} />
      <details class="settings-group">
        <summary>Limits and retention</summary>
        <div class="stack">
          <p class="hint">
            What is empty has the usual value of this cluster; “none” is no limit. Ages are written as in 7 d or 12 h,
            sizes as in 256 MiB.
          </p>
          <div class="grid">{LIMITS.map(({ name, label, hint }) => field(`limits.${name}`, label, hint))}</div>
          <div class="grid">
            {RETENTION.map(({ name, label, hint }) => field(`retention.${name}`, retentionLabel(label), hint))}
          </div>
        </div>
      </details>
      <Command line={createLine(body)} />
      {!taken && <Fault error={error} />}
    </Dialog>
  );
}

/** The labels of the settings page stand below a title that says what they bound. */
function retentionLabel(label: string): string {
  return label.includes("kept") ? label : `${label} kept`;
}

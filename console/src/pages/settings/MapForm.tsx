import { useState } from "preact/hooks";
import { api, ApiError, url, type Schemas } from "../../api";
import { go } from "../../router";
import { isAdmin } from "../../session";
import { Button, Command, Fault, Field, Note, say, Section, useAction } from "../../ui";
import { changes, commandLine, LIMITS, RETENTION, sentAs, texts, type Texts } from "./fields";

/** Name, slug, limits and retention. Only what was changed is sent. */
export function MapForm({ map, onSaved }: { map: Schemas["Map"]; onSaved(): void }) {
  const [now, setNow] = useState<Texts>(() => texts(map));
  const [warnings, setWarnings] = useState<readonly string[]>([]);
  const { busy, error, run } = useAction();
  const { body, faults } = changes(map, now);
  const changed = Object.keys(body).length > 0;
  const set = (name: string) => (value: string) => setNow((was) => ({ ...was, [name]: value }));
  const refused = (name: string) =>
    error instanceof ApiError ? error.faults.find((one) => one.field === name)?.message : undefined;
  const save = () =>
    run(async () => {
      const { data } = await api.patch<{ data: Schemas["Map"] }>(url`/api/maps/${map.id}`, body);
      setWarnings(data.warnings ?? []);
      say("Saved");
      if (data.slug !== map.slug) go(["maps", data.slug ?? data.id, "settings"], {}, true);
      else onSaved();
    });
  const field = (name: string, label: string, hint?: string) => {
    const value = now[name] ?? "";
    return (
      <Field
        key={name}
        label={label}
        value={value}
        onInput={set(name)}
        hint={[hint, sentAs(name, value)].filter(Boolean).join(" · ") || undefined}
        fault={faults[name] ?? refused(name)}
        placeholder="no limit"
        disabled={!isAdmin()}
      />
    );
  };
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (changed && Object.keys(faults).length === 0) save().catch(() => {});
      }}
    >
      <Section title="Names">
        <div class="grid">
          <Field label="Name" value={now["name"] ?? ""} onInput={set("name")} maxLength={200} fault={refused("name")} />
          <Field
            label="Slug"
            value={now["slug"] ?? ""}
            onInput={set("slug")}
            maxLength={63}
            mono
            hint="It stands in addresses: change them with it."
            fault={faults["slug"] ?? refused("slug")}
            disabled={!isAdmin()}
          />
        </div>
      </Section>
      <Section title="Limits" hint="What one map may use of the cluster. An empty field means no limit.">
        <div class="grid">{LIMITS.map(({ name, label, hint }) => field(`limits.${name}`, label, hint))}</div>
      </Section>
      <Section
        title="Retention"
        hint="An event is removed as soon as one of these bounds is passed. An empty field means no bound. Ages are written as in 7 d or 12 h, sizes as in 256 MiB."
      >
        <div class="grid">{RETENTION.map(({ name, label, hint }) => field(`retention.${name}`, label, hint))}</div>
      </Section>
      {warnings.map((one) => (
        <Note key={one} tone="warn">
          {one}
        </Note>
      ))}
      <Fault error={error} />
      {changed && <Command line={commandLine(map.slug ?? map.id, body)} />}
      <div class="row">
        <Button type="submit" kind="primary" busy={busy} disabled={!changed || Object.keys(faults).length > 0}>
          Save
        </Button>
        <Button disabled={!changed} onClick={() => setNow(texts(map))}>
          Undo changes
        </Button>
      </div>
    </form>
  );
}

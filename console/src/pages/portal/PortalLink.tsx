import { useState } from "preact/hooks";
import { api, ApiError, url } from "../../api";
import { linkBody, linkCommand, NEW_LINK, SCOPES, type LinkForm, type PortalScope } from "../../lib/portal/make";
import type { MapRef } from "../../session";
import {
  Button,
  Checkbox,
  Code,
  Command,
  Dialog,
  Fault,
  Field,
  Group,
  Note,
  Secret,
  Select,
  Time,
  useAction,
} from "../../ui";
import { mapWord } from "../delivery/types";

const LABELS: Readonly<Record<PortalScope, { label: string; hint: string }>> = {
  "webhooks:read": { label: "See webhooks", hint: "With their state, attempts, dead letters and replays" },
  "webhooks:write": {
    label: "Change webhooks",
    hint: "Who may do this can have every event of the map sent to an address of their own",
  },
  "consumers:read": { label: "See consumers", hint: "With their state, dead letters and replays" },
  "consumers:write": { label: "Change consumers", hint: "It takes no events from a consumer" },
};

const LOOKS: readonly { value: LinkForm["dark"]; label: string }[] = [
  { value: "", label: "as the reader has set it" },
  { value: "true", label: "dark" },
  { value: "false", label: "light" },
];

interface Made {
  url: string;
  expires_at: string;
}

/** A button that makes a link to the portal of a map. */
export function PortalLinkButton({ map }: { map: MapRef }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button onClick={() => setOpen(true)}>Portal link</Button>
      {open && <MakeLink map={map} onClose={() => setOpen(false)} />}
    </>
  );
}

function MakeLink({ map, onClose }: { map: MapRef; onClose(): void }) {
  const [form, setForm] = useState(NEW_LINK);
  const [made, setMade] = useState<Made | null>(null);
  const { busy, error, run } = useAction();
  const set = (changes: Partial<LinkForm>) => setForm((was) => ({ ...was, ...changes }));
  const { body, faults } = linkBody(form);
  const bad = Object.keys(faults).length > 0;
  const refused = (field: string) =>
    error instanceof ApiError ? error.faults.find((one) => one.field.startsWith(field))?.message : undefined;
  const make = () =>
    run(async () => {
      setMade((await api.post<{ data: Made }>(url`/api/maps/${map.id}/portal-links`, body)).data);
    });
  if (made !== null) return <Shown made={made} framed={body.origins !== undefined} onClose={onClose} />;
  const toggle = (scope: PortalScope) => (on: boolean) =>
    set({ scopes: SCOPES.filter((one) => (one === scope ? on : form.scopes.includes(one))) });
  const colour = (name: "accent" | "background" | "text", label: string) => (
    <Field
      label={label}
      value={form[name]}
      onInput={(value) => set({ [name]: value })}
      placeholder="as usual"
      fault={faults[name] ?? refused(`theme.${name}`)}
      mono
    />
  );
  return (
    <Dialog
      title={`Portal link of ${mapWord(map)}`}
      onClose={onClose}
      onSubmit={() => {
        if (!bad && !busy) make().catch(() => {});
      }}
      busy={busy}
      actions={
        <>
          <Button onClick={onClose} disabled={busy}>
            Cancel
          </Button>
          <Button kind="primary" type="submit" busy={busy} disabled={bad}>
            Make the link
          </Button>
        </>
      }
    >
      <p class="hint">
        The portal has the pages of this map's webhooks and consumers alone, for people who have no account here. Your
        back end makes a link for each visit; this one is to try it. <a href="/docs/operations/portal.html">More</a>
      </p>
      <Field
        label="Minutes"
        value={form.minutes}
        onInput={(minutes) => set({ minutes })}
        hint="How long it lives: at most 10080, a week."
        fault={faults.minutes ?? refused("minutes")}
        autofocus
      />
      <Group legend="What it opens">
        {SCOPES.map((scope) => (
          <Checkbox
            key={scope}
            label={
              <>
                {LABELS[scope].label} <code>{scope}</code>
              </>
            }
            hint={LABELS[scope].hint}
            checked={form.scopes.includes(scope)}
            onChange={toggle(scope)}
          />
        ))}
        {(faults.scopes ?? refused("scopes")) !== undefined && (
          <p class="fault">{faults.scopes ?? refused("scopes")}</p>
        )}
      </Group>
      <Field
        label="Pages that may show it in a frame"
        value={form.origins}
        onInput={(origins) => set({ origins })}
        lines={2}
        placeholder="https://app.example.com"
        hint="Origins, one a line. Without any it opens in no frame, only as a page of its own."
        fault={faults.origins ?? refused("origins")}
        mono
      />
      <details class="settings-group">
        <summary>Colours</summary>
        <div class="stack">
          <div class="grid">
            {colour("accent", "Buttons and links")}
            {colour("background", "Background")}
            {colour("text", "Text")}
            <Select label="Look" value={form.dark} onChange={(dark) => set({ dark })} options={LOOKS} />
          </div>
        </div>
      </details>
      {!bad && <Command line={linkCommand(mapWord(map), body)} />}
      <Fault error={error} />
    </Dialog>
  );
}

function Shown({ made, framed, onClose }: { made: Made; framed: boolean; onClose(): void }) {
  const frame = `<iframe title="Webhooks" src="${made.url}"\n  width="100%" height="600" referrerpolicy="origin" allow="clipboard-write"></iframe>`;
  return (
    <Dialog title="The link is made" firm onClose={onClose} actions={<Button onClick={onClose}>Close</Button>}>
      <Secret what="The link" text={made.url}>
        <p>
          It ends <Time at={made.expires_at} />, or when the token that you signed in with is revoked.
        </p>
      </Secret>
      <Note tone="warn">Whoever has it is let in: give it to its reader alone.</Note>
      {framed && <Code text={frame} label="The frame in a page" />}
    </Dialog>
  );
}

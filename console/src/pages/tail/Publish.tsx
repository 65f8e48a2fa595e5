// Publishes an event by hand, once however often the button is pressed, and shows the scripts that would do the same.
import { useEffect, useRef, useState } from "preact/hooks";
import { LostError, refusal, send, url, within, WRITE_MS } from "../../api";
import type { Fields } from "../../lib/cel/fields";
import { checkJson, faultText, type Checked } from "../../lib/json-tree/check";
import type { Json } from "../../lib/json-tree/model";
import { bodyOf, LANGUAGES, publishAs, type Language } from "../../lib/snippets/publish";
import { href } from "../../router";
import { can, type MapRef } from "../../session";
import { Button, Code, CopyButton, Fault, Field, Note, Section, Tabs, useAction } from "../../ui";

/** What stands in the form. */
export interface Draft {
  type: string;
  subject: string;
  /** JSON. */
  payload: string;
}

/** How a publish ended. */
interface Published {
  id: string;
  /** Absent if the event was only sent. */
  seq?: number;
  /** Whether the key was known, and nothing was stored again. */
  replayed: boolean;
}

const FIRST: Draft = { type: "", subject: "", payload: '{\n  "hello": "world"\n}' };
/** What the server takes as a type. */
const TYPE = /^(?!phx_|chan_reply_|pusher:|pusher_internal:|waypost:)[^,*\u0000-\u001f\u007f-\u009f]{1,200}$/u;
const SUBJECT = /^[A-Za-z0-9_=@,.;:/#-]{0,200}$/;
const KEY = /^[!-~]{1,255}$/;

export function Publish({ map, fields, draft }: { map: MapRef; fields: Fields; draft: Draft | null }) {
  const [form, setForm] = useState(draft ?? FIRST);
  const [key, setKey] = useState(newKey);
  const [done, setDone] = useState<Published | null>(null);
  const [tried, setTried] = useState(false);
  const { busy, error, run, clear } = useAction();
  const place = useRef<HTMLFormElement>(null);
  const checked = checkJson(form.payload);
  const faults = faultsOf(form, key);
  const good = faults.type === null && faults.subject === null && faults.key === null && checked.fault === null;
  const shows = tried || form.type !== "";
  const script = { ...form, origin: location.origin, map: map.slug, key, payload: checked.value };
  useEffect(() => place.current?.querySelector("input")?.focus(), []);
  const change = (changes: Partial<Draft>) => {
    setForm((was) => ({ ...was, ...changes }));
    clear();
  };
  const publish = async () => {
    setTried(true);
    if (!good) return;
    setDone(null);
    const went = await run(async () => setDone(await post(map.id, bodyOf(script), key)));
    // A new event needs a new key. After an error the same key makes another try safe.
    if (went) setKey(newKey());
  };
  const submit = (event: Event) => {
    event.preventDefault();
    void publish();
  };
  return (
    <Section title="Publish an event">
      <form
        ref={place}
        class="publish card"
        aria-label="Publish an event"
        onSubmit={submit}
        onKeyDown={(event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && submit(event)}
      >
        <div class="halves">
          <Envelope
            form={form}
            onChange={change}
            keyText={key}
            onKey={setKey}
            fields={fields}
            faults={shows ? faults : { ...faults, type: null }}
          />
          <Payload text={form.payload} checked={checked} onChange={(payload) => change({ payload })} />
        </div>
        <div class="row">
          <Button type="submit" kind="primary" busy={busy} disabled={shows && !good}>
            Publish
          </Button>
          <Button small kind="quiet" onClick={() => setKey(newKey())}>
            New key
          </Button>
        </div>
        <Fault error={error} />
        {error instanceof LostError && key !== "" && (
          <p class="hint">The key is still the same: publish again, and it is stored once.</p>
        )}
        {done !== null && <Done map={map} done={done} />}
        <Scripts
          script={{ ...script, type: form.type === "" ? "order_paid" : form.type }}
          valid={checked.fault === null}
        />
      </form>
    </Section>
  );
}

function Envelope(props: {
  form: Draft;
  onChange(changes: Partial<Draft>): void;
  keyText: string;
  onKey(key: string): void;
  fields: Fields;
  faults: Faults;
}) {
  const { form, onChange, fields, faults } = props;
  return (
    <div class="stack">
      <Field
        label="Type"
        value={form.type}
        onInput={(type) => onChange({ type })}
        options={[...fields.types]}
        placeholder="order_paid"
        fault={faults.type}
        mono
        required
      />
      <Field
        label="Subject"
        value={form.subject}
        onInput={(subject) => onChange({ subject })}
        options={[...fields.subjects].filter((subject) => subject !== "" && !subject.startsWith("$"))}
        placeholder="the map's own"
        fault={faults.subject}
        mono
      />
      <Field
        label="Idempotency key"
        value={props.keyText}
        onInput={props.onKey}
        hint="With the same key and the same event nothing is stored twice. Empty: no key."
        fault={faults.key}
        mono
      />
    </div>
  );
}

function Payload({ text, checked, onChange }: { text: string; checked: Checked; onChange(text: string): void }) {
  return (
    <div class="stack">
      <Field
        label="Payload"
        value={text}
        onInput={onChange}
        lines={9}
        hint="JSON. Ctrl+Enter publishes."
        fault={checked.fault === null ? null : faultText(checked.fault)}
        mono
      />
      <div class="row">
        <Button
          small
          disabled={checked.fault !== null}
          onClick={() => checked.fault === null && onChange(pretty(checked.value))}
        >
          Put in order
        </Button>
      </div>
    </div>
  );
}

/** What is wrong with the form beside the payload. */
interface Faults {
  type: string | null;
  subject: string | null;
  key: string | null;
}

function newKey(): string {
  // Without https there is no crypto.randomUUID.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function pretty(value: Json): string {
  return JSON.stringify(value, null, 2);
}

function faultsOf(form: Draft, key: string): Faults {
  const type =
    form.type === "" ? "a type is needed" : "1 to 200 characters without commas and *, and no name of a protocol";
  return {
    type: TYPE.test(form.type) ? null : type,
    subject: SUBJECT.test(form.subject) ? null : "at most 200 of A-Z a-z 0-9 _ - = @ , . ; : / #",
    key: key === "" || KEY.test(key) ? null : "at most 255 visible characters of ASCII, without spaces",
  };
}

async function post(map: string, body: unknown, key: string): Promise<Published> {
  const headers: Record<string, string> = key === "" ? {} : { "idempotency-key": key };
  return within(WRITE_MS, { headers }, true, async (options) => {
    const answer = await send("POST", url`/api/maps/${map}/events`, body, options);
    if (!answer.ok) throw await refusal(answer);
    return published(answer);
  });
}

async function published(answer: Response): Promise<Published> {
  const replayed = answer.headers.get("idempotency-replayed") === "true";
  try {
    const { data } = (await answer.json()) as { data: { id: string; seq?: number } };
    return { id: data.id, replayed, ...(data.seq !== undefined && { seq: data.seq }) };
  } catch {
    throw new LostError(true);
  }
}

function Done({ map, done }: { map: MapRef; done: Published }) {
  const stored = done.seq !== undefined;
  return (
    <div role="status">
      <Note tone="ok">
        <p>
          {stored
            ? `Stored with seq ${done.seq}.`
            : "Sent to those who listen now. The subject is ephemeral: it is not stored."}
          {done.replayed && " The key was known: nothing was stored again."}
        </p>
        <div class="row">
          <code>{done.id}</code>
          <CopyButton text={done.id} label="Copy the id" />
          {stored && can("manage") && <a href={href(["maps", map.slug, "events", done.id])}>Follow this event</a>}
        </div>
      </Note>
    </div>
  );
}

function Scripts({ script, valid }: { script: Parameters<typeof publishAs>[1]; valid: boolean }) {
  const [language, setLanguage] = useState<Language>("curl");
  return (
    <details class="more">
      <summary>The same as a script</summary>
      <Tabs<Language>
        label="Language"
        tabs={LANGUAGES.map(({ id, name }) => ({ key: id, title: name }))}
        current={language}
        onChange={setLanguage}
      >
        {valid ? (
          <div class="stack-tight">
            <p class="hint">
              The script reads the token from the variable <code>TOKEN</code> of its environment.
            </p>
            <Code text={publishAs(language, script)} label={`The publish as ${language}`} />
          </div>
        ) : (
          <p class="hint">The payload is not JSON yet.</p>
        )}
      </Tabs>
    </details>
  );
}

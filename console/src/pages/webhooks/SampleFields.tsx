import type { SampleForm } from "../../lib/delivery/sample";
import { Field } from "../../ui";

/** The fields of an event of one's own. */
export function SampleFields(props: {
  form: SampleForm;
  faults: Partial<Record<keyof SampleForm, string>>;
  onChange(form: SampleForm): void;
}) {
  const { form, faults, onChange } = props;
  return (
    <>
      <div class="grid">
        <Field
          label="Type"
          value={form.type}
          onInput={(type) => onChange({ ...form, type })}
          fault={faults.type}
          mono
        />
        <Field
          label="Subject"
          value={form.subject}
          onInput={(subject) => onChange({ ...form, subject })}
          placeholder="the map's own"
          fault={faults.subject}
          mono
        />
      </div>
      <Field
        label="Payload"
        value={form.payload}
        onInput={(payload) => onChange({ ...form, payload })}
        lines={5}
        fault={faults.payload}
        hint="JSON. Nothing is published: the event is made up for this preview."
        mono
      />
    </>
  );
}

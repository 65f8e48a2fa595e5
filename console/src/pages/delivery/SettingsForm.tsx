// The fields of a form that is described by groups.
import type { ComponentChildren } from "preact";
import type { Faults, Field as FieldOf, Group as GroupOf, Values } from "../../lib/delivery/fields";
import { durationIn } from "../../lib/delivery/state";
import { CelField } from "../../lib/cel/CelField";
import { Fields } from "../../lib/cel/fields";
import { Field, Select } from "../../ui";

export interface SettingsFormProps {
  groups: readonly GroupOf[];
  values: Values;
  onChange(path: string, text: string): void;
  faults: Faults;
  /** Whether it is for something that exists. */
  exists: boolean;
  /** What stands in the events that were seen, for completion. */
  seen?: Fields;
  /** What stands below the fields of groups, by their titles. */
  below?: Readonly<Record<string, ComponentChildren>>;
}

const NOTHING_SEEN = new Fields();

/** Shows the groups: the open ones at once, the others when they are opened or have a fault. */
export function SettingsForm(props: SettingsFormProps) {
  return (
    <div class="stack">
      {props.groups.map((group) => (
        <OneGroup key={group.title} {...props} group={group} />
      ))}
    </div>
  );
}

function OneGroup(props: SettingsFormProps & { group: GroupOf }) {
  const { group, values, faults, exists } = props;
  const fields = group.fields.filter((field) => !(exists && field.onlyNew === true) && field.shown?.(values) !== false);
  if (fields.length === 0) return null;
  const inside = (
    <>
      {group.note !== undefined && <p class="hint">{group.note}</p>}
      <div class={group.open === true ? "stack" : "grid"}>
        {fields.map((field) => (
          <OneField key={field.path} field={field} {...props} />
        ))}
      </div>
      {props.below?.[group.title]}
    </>
  );
  if (group.open === true) {
    return (
      <fieldset class="group">
        <legend>{group.title}</legend>
        {inside}
      </fieldset>
    );
  }
  const wrong = fields.some((field) => faults[field.path] !== undefined);
  return (
    <details class="settings-group" open={wrong ? true : undefined}>
      <summary>{group.title}</summary>
      <div class="stack">{inside}</div>
    </details>
  );
}

function OneField(props: SettingsFormProps & { field: FieldOf }) {
  const { field, values, faults } = props;
  const value = values[field.path] ?? "";
  const label = field.unit === undefined ? field.label : `${field.label} (${field.unit})`;
  const hint = [durationIn(field.unit, value), field.help].filter(Boolean).join(" · ");
  const common = {
    label,
    ...(hint === "" ? {} : { hint }),
    fault: faultAt(field.label, faults[field.path]),
  };
  const set = (text: string) => props.onChange(field.path, text);
  if (field.kind === "choice" || field.kind === "boolean") {
    return <Select {...common} value={value} onChange={set} options={field.choices ?? []} />;
  }
  if (field.kind === "cel") {
    return (
      <CelField
        label={label}
        value={value}
        onInput={set}
        fields={props.seen ?? NOTHING_SEEN}
        fault={faults[field.path]}
        hint={field.help}
        placeholder={field.placeholder}
      />
    );
  }
  const lines = LINES[field.kind];
  return (
    <Field
      {...common}
      value={value}
      onInput={set}
      type={field.kind === "secret" ? "password" : "text"}
      {...(field.placeholder === undefined ? {} : { placeholder: field.placeholder })}
      {...(lines === undefined ? {} : { lines, mono: true })}
      {...(field.kind === "secret" ? { autocomplete: "new-password" } : {})}
    />
  );
}

/** A fault as a sentence about the field; one that begins with a place in its text stands behind a colon. */
function faultAt(label: string, fault: string | undefined): string | null {
  if (fault === undefined) return null;
  return fault.startsWith("/") ? `${label}: ${fault}` : `${label} ${fault}`;
}

const LINES: Readonly<Partial<Record<FieldOf["kind"], number>>> = { code: 3, json: 6, headers: 3, lines: 3 };

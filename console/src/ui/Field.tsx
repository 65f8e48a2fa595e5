// Everything that is filled in. A label is always shown; a hint and a fault are read out with the field.
import type { ComponentChildren, InputHTMLAttributes, JSX } from "preact";
import { useId } from "preact/hooks";

interface Common {
  label: string;
  hint?: ComponentChildren;
  /** What is wrong with what stands there. */
  fault?: string | null | undefined;
  required?: boolean;
  disabled?: boolean;
  /** The label is read out but not shown. Only where its place says what it is. */
  hideLabel?: boolean;
}

export interface FieldProps extends Common {
  value: string;
  onInput(value: string): void;
  type?: "text" | "password" | "number" | "url" | "search" | "datetime-local";
  placeholder?: string;
  /** Lines of a text area; without it, one line. */
  lines?: number;
  mono?: boolean;
  min?: number;
  max?: number;
  maxLength?: number;
  autofocus?: boolean;
  autocomplete?: string;
  /** Values to choose from as one types. */
  options?: readonly string[];
  onKeyDown?: (event: KeyboardEvent) => void;
  id?: string;
}

export function Field(props: FieldProps): JSX.Element {
  const own = useId();
  const id = props.id ?? own;
  const given = {
    id,
    class: props.mono === true ? "input mono" : "input",
    value: props.value,
    placeholder: props.placeholder,
    required: props.required,
    disabled: props.disabled,
    maxLength: props.maxLength,
    autofocus: props.autofocus,
    spellcheck: false,
    "aria-invalid": props.fault ? ("true" as const) : undefined,
    "aria-describedby": described(id, props),
    onInput: (event: { currentTarget: { value: string } }) => props.onInput(event.currentTarget.value),
    onKeyDown: props.onKeyDown,
  };
  const line = {
    ...given,
    type: props.type ?? "text",
    min: props.min,
    max: props.max,
    autocomplete: props.autocomplete ?? "off",
    list: props.options === undefined ? undefined : `${id}-options`,
  };
  return (
    <Labelled id={id} {...props}>
      {props.lines === undefined ? (
        <input {...(line as InputHTMLAttributes<HTMLInputElement>)} />
      ) : (
        <textarea {...given} rows={props.lines} />
      )}
      {props.options !== undefined && (
        <datalist id={`${id}-options`}>
          {props.options.map((one) => (
            <option key={one} value={one} />
          ))}
        </datalist>
      )}
    </Labelled>
  );
}

export interface SelectProps<T extends string> extends Common {
  value: T;
  onChange(value: T): void;
  options: readonly { value: T; label: string }[];
}

export function Select<T extends string>(props: SelectProps<T>): JSX.Element {
  const id = useId();
  return (
    <Labelled id={id} {...props}>
      <select
        id={id}
        class="input"
        value={props.value}
        disabled={props.disabled}
        aria-describedby={described(id, props)}
        onChange={(event) => props.onChange(event.currentTarget.value as T)}
      >
        {props.options.map(({ value, label }) => (
          <option key={value} value={value} selected={value === props.value}>
            {label}
          </option>
        ))}
      </select>
    </Labelled>
  );
}

export function Checkbox(props: {
  label: ComponentChildren;
  checked: boolean;
  onChange(checked: boolean): void;
  hint?: ComponentChildren;
  disabled?: boolean;
}): JSX.Element {
  const id = useId();
  return (
    <div class="check">
      <input
        id={id}
        type="checkbox"
        checked={props.checked}
        disabled={props.disabled}
        aria-describedby={props.hint === undefined ? undefined : `${id}-hint`}
        onChange={(event) => props.onChange(event.currentTarget.checked)}
      />
      <label for={id}>{props.label}</label>
      {props.hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {props.hint}
        </p>
      )}
    </div>
  );
}

/** A group of fields with a name. */
export function Group({
  legend,
  hint,
  children,
}: {
  legend: string;
  hint?: ComponentChildren;
  children: ComponentChildren;
}) {
  return (
    <fieldset class="group">
      <legend>{legend}</legend>
      {hint !== undefined && <p class="hint">{hint}</p>}
      {children}
    </fieldset>
  );
}

function described(id: string, props: Common): string | undefined {
  const ids = [props.hint !== undefined && `${id}-hint`, props.fault && `${id}-fault`].filter(Boolean);
  return ids.length === 0 ? undefined : ids.join(" ");
}

function Labelled(props: Common & { id: string; children: ComponentChildren }) {
  return (
    <div class="field">
      <label for={props.id} class={props.hideLabel === true ? "sr-only" : undefined}>
        {props.label}
        {props.required === true && <span class="muted"> (required)</span>}
      </label>
      {props.children}
      {props.hint !== undefined && (
        <p class="hint" id={`${props.id}-hint`}>
          {props.hint}
        </p>
      )}
      {props.fault && (
        <p class="fault" id={`${props.id}-fault`}>
          {props.fault}
        </p>
      )}
    </div>
  );
}

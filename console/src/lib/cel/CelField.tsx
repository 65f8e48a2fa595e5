// A field for an expression: it proposes fields and functions, and shows an error of the server at its place.
import type { JSX } from "preact";
import { useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { complete, type Completion, type Option } from "./complete";
import { faultOf, tooLong, type Fault } from "./error";
import type { Fields } from "./fields";

export interface CelFieldProps {
  label: string;
  value: string;
  onInput(value: string): void;
  /** What the events that were seen have in them. */
  fields: Fields;
  /** The server's message about this very text, as it came. */
  fault?: string | null | undefined;
  /** Enter was pressed, and no proposal was chosen by it. */
  onEnter?: (() => void) | undefined;
  hint?: string | undefined;
  placeholder?: string | undefined;
}

interface Proposed extends Completion {
  at: number;
}

/** A field for an expression. It is a combobox by the pattern of WAI-ARIA: the focus stays in the text. */
export function CelField(props: CelFieldProps): JSX.Element {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const caret = useRef<number | null>(null);
  const [proposed, setProposed] = useState<Proposed | null>(null);
  const long = tooLong(props.value);
  const fault = long !== null ? { message: long, at: null } : props.fault ? faultOf(props.fault, props.value) : null;
  useLayoutEffect(() => {
    if (caret.current === null) return;
    input.current?.setSelectionRange(caret.current, caret.current);
    caret.current = null;
  }, [props.value]);

  const propose = (text: string, from: number, asked: boolean) => {
    const found = complete(text, from, props.fields);
    // Without a letter to go by, the list only comes when it is asked for, or behind a dot or a quote.
    const begun = found !== null && (asked || found.to > found.from || /[."']$/.test(text.slice(0, from)));
    setProposed(begun && found !== null ? { ...found, at: 0 } : null);
  };
  const take = (option: Option) => {
    if (proposed === null) return;
    const text = props.value.slice(0, proposed.from) + option.insert + props.value.slice(proposed.to);
    caret.current = proposed.from + option.caret;
    setProposed(null);
    props.onInput(text);
    input.current?.focus();
  };
  const keys = (event: KeyboardEvent & { currentTarget: HTMLInputElement }) => {
    const asks = event.ctrlKey && (event.key === " " || event.code === "Space");
    if (asks) {
      propose(props.value, event.currentTarget.selectionStart ?? props.value.length, true);
    } else if (proposed !== null && byList(event.key, proposed, setProposed, take)) {
      // The list has taken the key.
    } else if (event.key === "Enter" && !event.isComposing) {
      props.onEnter?.();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  };
  const open = proposed !== null;
  const described = [props.hint !== undefined && `${id}-hint`, fault !== null && `${id}-fault`]
    .filter(Boolean)
    .join(" ");
  return (
    <div class="field cel">
      <label for={id}>{props.label}</label>
      <div class="cel-box">
        <input
          ref={input}
          id={id}
          type="text"
          class="input mono"
          role="combobox"
          value={props.value}
          placeholder={props.placeholder}
          spellcheck={false}
          autocapitalize="off"
          autocomplete="off"
          aria-autocomplete="list"
          aria-expanded={open}
          aria-controls={`${id}-list`}
          aria-activedescendant={open ? `${id}-${proposed.at}` : undefined}
          aria-invalid={fault !== null ? "true" : undefined}
          aria-describedby={described === "" ? undefined : described}
          onInput={(event) => {
            const { value, selectionStart } = event.currentTarget;
            props.onInput(value);
            propose(value, selectionStart ?? value.length, false);
          }}
          onKeyDown={keys}
          onBlur={() => setProposed(null)}
        />
        <ul id={`${id}-list`} class="cel-list" role="listbox" aria-label="Proposals" hidden={!open}>
          {proposed?.options.map((option, index) => (
            <Proposal
              key={`${option.kind} ${option.label}`}
              id={`${id}-${index}`}
              option={option}
              chosen={index === proposed.at}
              onTake={() => take(option)}
            />
          ))}
        </ul>
      </div>
      {props.hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {props.hint}
        </p>
      )}
      {fault !== null && <Shown id={`${id}-fault`} fault={fault} text={props.value} />}
    </div>
  );
}

/** What a key does to the list of proposals. Returns whether it did something. */
function byList(
  key: string,
  now: Proposed,
  set: (next: Proposed | null) => void,
  take: (option: Option) => void,
): boolean {
  const count = now.options.length;
  const option = now.options[now.at];
  if (key === "ArrowDown") set({ ...now, at: (now.at + 1) % count });
  else if (key === "ArrowUp") set({ ...now, at: (now.at + count - 1) % count });
  else if (key === "Escape") set(null);
  else if ((key === "Enter" || key === "Tab") && option !== undefined) take(option);
  else return false;
  return true;
}

function Proposal(props: { id: string; option: Option; chosen: boolean; onTake(): void }) {
  const row = useRef<HTMLLIElement>(null);
  useLayoutEffect(() => {
    if (props.chosen) row.current?.scrollIntoView({ block: "nearest" });
  }, [props.chosen]);
  return (
    <li
      ref={row}
      id={props.id}
      role="option"
      class="cel-option"
      aria-selected={props.chosen}
      // The focus stays in the text.
      onMouseDown={(event) => {
        event.preventDefault();
        props.onTake();
      }}
    >
      <code>{props.option.label}</code>
      <span class="muted">{props.option.means}</span>
    </li>
  );
}

/** The fault in words, and the expression with its place marked. */
function Shown({ id, fault, text }: { id: string; fault: Fault; text: string }) {
  const { at } = fault;
  return (
    <div id={id} class="cel-fault" role="alert">
      <p class="fault">{fault.message}</p>
      {at !== null && (
        <pre class="cel-place">
          {text.slice(0, at.from)}
          <mark>{text.slice(at.from, at.to) || "▯"}</mark>
          {text.slice(at.to)}
        </pre>
      )}
    </div>
  );
}

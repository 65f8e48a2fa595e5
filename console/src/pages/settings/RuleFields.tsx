import { useEffect, useRef } from "preact/hooks";
import { Badge, Button, Field, Fault, Select } from "../../ui";
import type { Draft, Open } from "./rule";

interface Props {
  number: number;
  draft: Draft;
  /** It is the rule that counts for the subject that was asked about. */
  matched: boolean;
  faults: Record<string, string>;
  /** It was just added: what it matches is typed next. */
  focused: boolean;
  refused: readonly string[];
  onChange(changes: Partial<Draft>): void;
  onUp: (() => void) | undefined;
  onDown: (() => void) | undefined;
  onRemove(): void;
}

const OPEN: readonly { value: Open; label: string }[] = [
  { value: "", label: "Left open" },
  { value: "yes", label: "Yes" },
  { value: "no", label: "No" },
];

/** One channel rule. */
export function RuleFields(props: Props) {
  const { draft, faults, onChange, number } = props;
  const own = useRef<HTMLElement>(null);
  useEffect(() => {
    if (props.focused) own.current?.querySelector("input")?.focus();
  }, []);
  return (
    <section ref={own} class={props.matched ? "rule rule-matched" : "rule"} aria-label={`Rule ${number}`}>
      <div class="row spread">
        <div class="row">
          <h3>Rule {number}</h3>
          {props.matched && <Badge tone="info">counts for this subject</Badge>}
        </div>
        <div class="row">
          <Button small kind="quiet" disabled={props.onUp === undefined} onClick={props.onUp}>
            Up
          </Button>
          <Button small kind="quiet" disabled={props.onDown === undefined} onClick={props.onDown}>
            Down
          </Button>
          <Button small kind="danger" onClick={props.onRemove}>
            Remove
          </Button>
        </div>
      </div>
      <div class="grid">
        <Field
          label="Subjects"
          value={draft.match}
          onInput={(match) => onChange({ match })}
          placeholder="chat-*"
          fault={faults["match"]}
          maxLength={210}
          mono
        />
        <Select
          label="Events are"
          value={draft.durability}
          onChange={(durability) => onChange({ durability })}
          options={[
            { value: "", label: "Left open" },
            { value: "durable", label: "Durable: stored" },
            { value: "ephemeral", label: "Ephemeral: sent and never stored" },
          ]}
        />
        <Select
          label="Clients may publish"
          value={draft.clientEvents}
          onChange={(clientEvents) => onChange({ clientEvents })}
          options={OPEN}
        />
        <Select
          label="To join, a Pusher client shows"
          value={draft.join}
          onChange={(join) => onChange({ join })}
          options={[
            { value: "", label: "Left open" },
            { value: "anyone", label: "Nothing but its key" },
            { value: "signature", label: "A signature of the back end" },
            { value: "token", label: "A token of the map" },
          ]}
        />
        <Select
          label="Members see each other"
          value={draft.presence}
          onChange={(presence) => onChange({ presence })}
          options={OPEN}
        />
        {count("membersMax", "Members at once", "100")}
        {count("events", "Keeps events", "as the map")}
        {count("seconds", "Keeps seconds", "as the map")}
        {count("bytes", "Keeps bytes", "as the map")}
      </div>
      {props.refused.length > 0 && <Fault error={new Error(props.refused.join(" · "))} />}
    </section>
  );

  function count(name: "membersMax" | "events" | "seconds" | "bytes", label: string, placeholder: string) {
    return (
      <Field
        label={label}
        value={draft[name]}
        onInput={(value) => onChange({ [name]: value })}
        placeholder={placeholder}
        fault={faults[name]}
      />
    );
  }
}

import type { ComponentChildren, JSX } from "preact";
import { Icon, type IconName } from "./Icon";

export interface ButtonProps {
  children?: ComponentChildren;
  onClick?: (event: MouseEvent) => void;
  kind?: "plain" | "primary" | "danger" | "quiet";
  icon?: IconName;
  /** The name of a button that shows an icon alone. */
  label?: string;
  type?: "button" | "submit";
  disabled?: boolean;
  /** What it started still runs. */
  busy?: boolean;
  small?: boolean;
  pressed?: boolean;
  expanded?: boolean;
  id?: string;
  title?: string;
}

export function Button(props: ButtonProps): JSX.Element {
  const { kind = "plain", type = "button", busy = false, small = false, label } = props;
  const classes = ["btn", `btn-${kind}`, small && "btn-small", props.children === undefined && "btn-icon"];
  return (
    <button
      type={type}
      id={props.id}
      class={classes.filter(Boolean).join(" ")}
      onClick={props.onClick}
      disabled={props.disabled === true || busy}
      aria-busy={busy ? "true" : undefined}
      aria-label={label}
      aria-pressed={props.pressed}
      aria-expanded={props.expanded}
      title={props.title ?? (props.children === undefined ? label : undefined)}
    >
      {props.icon !== undefined && <Icon name={props.icon} />}
      {props.children !== undefined && <span>{props.children}</span>}
    </button>
  );
}

/** A link that looks like a button. */
export function LinkButton(props: {
  href: string;
  children: ComponentChildren;
  kind?: "plain" | "primary";
  icon?: IconName;
}) {
  return (
    <a class={`btn btn-${props.kind ?? "plain"}`} href={props.href}>
      {props.icon !== undefined && <Icon name={props.icon} />}
      <span>{props.children}</span>
    </a>
  );
}

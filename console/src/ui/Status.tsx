import type { ComponentChildren } from "preact";

export type Tone = "ok" | "warn" | "bad" | "info" | "off";

/** A state in words, with a colour and a shape that say the same. */
export function Status({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class={`status tone-${tone}`}>
      <span class="status-mark" aria-hidden="true" />
      {children}
    </span>
  );
}

/** A short word about something. */
export function Badge({ tone = "off", children }: { tone?: Tone; children: ComponentChildren }) {
  return <span class={`badge tone-${tone}`}>{children}</span>;
}

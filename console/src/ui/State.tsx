// What stands where something is awaited, missing or wrong.
import type { ComponentChildren } from "preact";
import { ApiError, explain } from "../api";
import { Button } from "./Button";
import { Icon } from "./Icon";

export function Loading({ what = "Loading" }: { what?: string }) {
  return (
    <div class="state" role="status">
      <span class="spinner" aria-hidden="true" />
      <p>{what} …</p>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="state">
      <p class="state-title">{title}</p>
      {children !== undefined && <div class="muted">{children}</div>}
    </div>
  );
}

/** An error with its code and what to do. Nothing is shown if there is none. */
export function Fault({ error, retry }: { error: unknown; retry?: () => void }) {
  if (error === undefined || error === null) return null;
  return (
    <div class="note tone-bad" role="alert">
      <Icon name="alert" />
      <div>
        <p>
          {explain(error)}
          {error instanceof ApiError && <code class="note-code">{error.code}</code>}
        </p>
        {retry !== undefined && (
          <Button small onClick={retry}>
            Try again
          </Button>
        )}
      </div>
    </div>
  );
}

/** A sentence that stands out. */
export function Note({
  tone = "info",
  children,
}: {
  tone?: "ok" | "warn" | "bad" | "info";
  children: ComponentChildren;
}) {
  return (
    <div class={`note tone-${tone}`}>
      <div>{children}</div>
    </div>
  );
}

/** Says which nodes' part of an answer is missing. */
export function Unreachable({ nodes }: { nodes: readonly { id: number; name: string | null }[] }) {
  if (nodes.length === 0) return null;
  const names = nodes.map((node) => node.name ?? `node ${node.id}`).join(", ");
  return <Note tone="warn">No answer from {names}: what is there is missing here.</Note>;
}

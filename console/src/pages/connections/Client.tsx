import { Id } from "../../ui";
import { addressOf, openedBy, type Connection } from "./connection";

/** A client: from where it came, as whom, and what it calls itself. */
export function Client({ connection, nameOf }: { connection: Connection; nameOf(token: string): string }) {
  const by = openedBy(connection, nameOf);
  const agent = connection.user_agent ?? null;
  return (
    <div class="stack-none">
      {connection.address === null ? <span class="muted">ended</span> : <code>{addressOf(connection)}</code>}
      {by !== null && (
        <span class="hint clip" title={by}>
          {by}
        </span>
      )}
      {agent !== null && (
        <span class="hint clip" title={agent}>
          {agent}
        </span>
      )}
      <span class="hint">
        <Id value={connection.id} chars={26} />
      </span>
    </div>
  );
}

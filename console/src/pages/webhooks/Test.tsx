import { useState } from "preact/hooks";
import { api } from "../../api";
import { commandLine } from "../../lib/delivery/commands";
import { requestOf, type MadeRequest } from "../../lib/delivery/preview";
import { rememberTested } from "../../lib/delivery/tested";
import { Button, Command, Dialog, Fault, Field, useAction } from "../../ui";
import { mapWord, type Attempt } from "../delivery/types";
import type { ActionProps } from "./Actions";
import { Answer } from "./Attempts";
import { Shown } from "./Preview";

/** Sends a test event, also to a webhook that is paused, and shows what the receiver answered. */
export function Test({ map, webhook, path, changed, close }: ActionProps & { close(): void }) {
  const [type, setType] = useState("webhook.test");
  const [text, setText] = useState('{"message": "This is a test."}');
  const [attempt, setAttempt] = useState<Attempt | null>(null);
  const [request, setRequest] = useState<MadeRequest | null>(null);
  const { busy, error, run } = useAction();
  const payload = jsonOf(text);
  const send = async () => {
    if (payload === undefined) return;
    setAttempt(null);
    await run(async () => {
      const answer = await api.post<{ data: Attempt & { request?: unknown } }>(`${path}/test`, { type, payload });
      const sent = requestOf(answer.data.request);
      if (sent !== null) rememberTested(answer.data.message_id, sent);
      setRequest(sent);
      setAttempt(answer.data);
    });
    changed();
  };
  return (
    <Dialog
      title={`Test ${webhook.name || webhook.id}`}
      onClose={close}
      wide
      actions={
        <>
          <Button onClick={close}>Close</Button>
          <Button kind="primary" onClick={send} busy={busy} disabled={payload === undefined || type === ""}>
            Send the test
          </Button>
        </>
      }
    >
      <p>The receiver gets one real request. The event is stored nowhere.</p>
      <Field label="Type" value={type} onInput={setType} required />
      <Field
        label="Payload (JSON)"
        value={text}
        onInput={setText}
        lines={5}
        mono
        fault={payload === undefined ? "This is not JSON." : null}
      />
      <Command line={commandLine(["webhook", "test"], [mapWord(map), webhook.id], { type, payload: text })} />
      <div aria-live="polite" class="stack">
        {attempt !== null && <Answer attempt={attempt} />}
        {attempt !== null && request !== null && (
          <>
            <h3>Request</h3>
            <p class="hint">As it was sent. Signatures and values of own headers are not shown.</p>
            <Shown request={request} />
          </>
        )}
      </div>
      <Fault error={error} />
    </Dialog>
  );
}

/** The value that a text is; undefined if it is not JSON. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

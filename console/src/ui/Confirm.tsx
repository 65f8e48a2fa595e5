// Asks before something is done, and shows the command line that would do the same.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";
import { explain } from "../api";
import { Button } from "./Button";
import { Command } from "./Code";
import { Dialog } from "./Dialog";
import { Checkbox, Field } from "./Field";
import { Fault } from "./State";
import { useAction } from "./resource";
import { say } from "./Toast";

export interface Question {
  title: string;
  body?: ComponentChildren;
  /** The command line that would do it: waypost cluster drain node-3. */
  command?: string | ((checked: boolean) => string);
  /** A box that changes what is done. */
  check?: { label: string; hint?: string };
  /** What the button says: "Drain node-3". */
  action: string;
  danger?: boolean;
  /** What must be typed first. For what cannot be undone. */
  type?: string;
  /** Does it. While it runs, the dialog waits; what goes wrong stands in it. */
  act(checked: boolean): Promise<unknown>;
}

interface Asked {
  question: Question;
  answer(done: boolean): void;
  /** Shows it no more. The answer is still awaited. */
  hide(): void;
}

const asked = signal<Asked | null>(null);

/** Asks, and does it if the answer is yes. Returns whether it was done. */
export function confirm(question: Question): Promise<boolean> {
  asked.peek()?.answer(false);
  return new Promise((resolve) => {
    const mine: Asked = {
      question,
      hide: () => {
        if (asked.peek() === mine) asked.value = null;
      },
      answer: (done) => {
        mine.hide();
        resolve(done);
      },
    };
    asked.value = mine;
  });
}

/** Where questions appear. It stands once in each application. */
export function Questions() {
  const now = asked.value;
  return now === null ? null : <Ask key={now.question.title} {...now} />;
}

function Ask({ question, answer, hide }: Asked) {
  const [typed, setTyped] = useState("");
  const [checked, setChecked] = useState(false);
  const { command, check } = question;
  const { busy, error, run } = useAction();
  const hidden = useRef(false);
  const go = async () => {
    let failed: unknown;
    const act = async () => {
      try {
        await question.act(checked);
      } catch (error) {
        failed = error;
        throw error;
      }
    };
    const done = await run(act);
    if (!done && !hidden.current) return;
    if (!done && failed !== undefined) say(`${question.action}: ${explain(failed)}`, "bad");
    answer(done);
  };
  // What runs is not taken back: how it ends is told, and those who asked hear of it.
  const close = () => {
    if (!busy) return answer(false);
    hidden.current = true;
    return hide();
  };
  return (
    <Dialog
      title={question.title}
      onClose={close}
      actions={
        <>
          <Button onClick={close}>{busy ? "Close" : "Cancel"}</Button>
          <Button
            kind={question.danger === true ? "danger" : "primary"}
            busy={busy}
            disabled={question.type !== undefined && typed !== question.type}
            onClick={go}
          >
            {question.action}
          </Button>
        </>
      }
    >
      {question.body !== undefined && <div>{question.body}</div>}
      {check !== undefined && <Checkbox {...check} checked={checked} onChange={setChecked} />}
      {command !== undefined && <Command line={typeof command === "string" ? command : command(checked)} />}
      {question.type !== undefined && (
        <Field label={`Type ${question.type} to go on`} value={typed} onInput={setTyped} mono />
      )}
      <Fault error={error} />
    </Dialog>
  );
}

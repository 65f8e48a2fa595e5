import type { ComponentChildren } from "preact";
import { Code } from "./Code";
import { Note } from "./State";

/** A secret that is shown this once. */
export function Secret({ what, text, children }: { what: string; text: string; children?: ComponentChildren }) {
  return (
    <Note tone="ok">
      <p>
        <strong>{what}.</strong> It is shown only now: copy it to where it is needed.
      </p>
      <Code text={text} label={what} />
      {children}
    </Note>
  );
}

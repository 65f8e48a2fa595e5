import { CopyButton } from "./CopyButton";

/** Text of a program, with a button that copies it. */
export function Code({ text, label, copy = true }: { text: string; label?: string; copy?: boolean }) {
  return (
    <div class="code">
      <pre tabIndex={0} aria-label={label ?? "Code"} role="group">
        <code>{text}</code>
      </pre>
      {copy && <CopyButton text={text} />}
    </div>
  );
}

/** A command line that does what the button beside it does. */
export function Command({ line }: { line: string }) {
  return (
    <div class="command">
      <p class="hint">The same on the command line:</p>
      <Code text={line} label="Command line" />
    </div>
  );
}

/** Quotes a value for a shell, where that is needed. */
export function shell(value: string): string {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}

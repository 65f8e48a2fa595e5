import { useState } from "preact/hooks";
import { Button } from "./Button";
import { say } from "./Toast";

/** Copies a text, and says so. */
export function CopyButton({ text, label = "Copy" }: { text: string; label?: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    if (await put(text)) {
      setCopied(true);
      say("Copied");
      setTimeout(() => setCopied(false), 2000);
    } else {
      say("The browser does not allow copying here. Select the text instead.", "bad");
    }
  };
  return (
    <Button kind="quiet" small icon={copied ? "check" : "copy"} label={copied ? "Copied" : label} onClick={copy} />
  );
}

/** Puts a text on the clipboard. Without https there is no `navigator.clipboard`. */
async function put(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "sr-only";
    const before = document.activeElement;
    (before?.closest("dialog") ?? document.body).append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    if (before instanceof HTMLElement) before.focus();
    return done;
  }
}

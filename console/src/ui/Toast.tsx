// Short messages that pass. They are read out, too.
import { signal } from "@preact/signals";

interface Message {
  id: number;
  text: string;
  tone: "ok" | "bad";
}

const messages = signal<readonly Message[]>([]);
let last = 0;

/** Shows a message for some seconds. */
export function say(text: string, tone: "ok" | "bad" = "ok"): void {
  const id = ++last;
  messages.value = [...messages.peek().slice(-3), { id, text, tone }];
  setTimeout(() => drop(id), tone === "ok" ? 4000 : 10_000);
}

function drop(id: number): void {
  messages.value = messages.peek().filter((one) => one.id !== id);
}

/** Where messages appear. It stands once in each application. */
export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {messages.value.map((one) => (
        <div key={one.id} class={`toast tone-${one.tone}`}>
          {one.text}
        </div>
      ))}
    </div>
  );
}

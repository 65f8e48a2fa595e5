import { FIELDS, FUNCTIONS, METHODS, type Word } from "../../lib/cel/words";
import { useAccess } from "../delivery/access";

/** What the expressions of a template may use beside what filters know. */
const MORE: readonly Word[] = [
  { name: "event", takes: "", means: "the whole event" },
  { name: "events", takes: "", means: "all events of the request, as a list" },
];

/** The names and functions that a template may use. */
export function TemplateHelp() {
  const { commands } = useAccess();
  return (
    <details class="settings-group">
      <summary>Names and functions</summary>
      <div class="stack">
        <p class="hint">
          A string that is one expression becomes its value: <code>{'"${payload.value}"'}</code> is a number. In any
          other string values become text.{" "}
          {commands && <a href="/docs/WEBHOOKS.html#templates">Templates, with examples</a>}
        </p>
        <Words title="Names" words={[...FIELDS, ...MORE]} />
        <Words title="Functions" words={FUNCTIONS} />
        <Words title="Behind a value" words={METHODS} dot />
      </div>
    </details>
  );
}

function Words({ title, words, dot = false }: { title: string; words: readonly Word[]; dot?: boolean }) {
  return (
    <div class="stack-tight">
      <h3>{title}</h3>
      <dl class="words">
        {words.map((word) => (
          <div key={word.name}>
            <dt>
              <code>
                {dot ? "." : ""}
                {word.name}
                {word.takes}
              </code>
            </dt>
            <dd>{word.means}</dd>
          </div>
        ))}
      </dl>
    </div>
  );
}

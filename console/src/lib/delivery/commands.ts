// The command lines of `waypost` that do what a button does.
import { jsonText, shellWord } from "../snippets/literals";

/** An option with its value, or a switch (true). Undefined, null, "" and false are left out. */
export type Options = Readonly<Record<string, string | number | boolean | null | undefined>>;

/** Writes a command line, as in `waypost webhook replay --since 1h demo kills`. */
export function commandLine(words: readonly string[], things: readonly string[], options: Options = {}): string {
  const line = ["waypost", ...words];
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || value === null || value === "" || value === false) continue;
    const text = String(value);
    if (value === true) line.push(`--${name}`);
    // Behind a space, what begins with a dash would be read as another option; a dash alone is the standard input.
    else if (text.startsWith("-") && text !== "-") line.push(`--${name}=${shellWord(text)}`);
    else line.push(`--${name}`, text === "-" ? text : shellWord(text));
  }
  // What begins with a dash would be read as an option.
  if (things.some((thing) => thing.startsWith("-"))) line.push("--");
  return [...line, ...things.map(shellWord)].join(" ");
}

/** Writes a command line that reads a JSON document from its standard input with `--settings -`. */
export function withSettings(
  words: readonly string[],
  things: readonly string[],
  settings: unknown,
  options: Options = {},
): string {
  return `echo ${shellWord(jsonText(settings))} | ${commandLine(words, things, { ...options, settings: "-" })}`;
}

/** Writes a request with curl, for what the command line has no words for. */
export function curl(method: string, path: string, body?: unknown): string {
  const line = [`curl -sS -X ${method} "$WAYPOST_URL"${shellWord(path)}`, `-H "Authorization: Bearer $WAYPOST_TOKEN"`];
  if (body !== undefined) line.push(`-H 'Content-Type: application/json'`, `-d ${shellWord(jsonText(body))}`);
  return line.join(" ");
}

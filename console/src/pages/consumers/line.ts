import { commandLine, curl } from "../../lib/delivery/commands";
import { url } from "../../api";

/** The command line that creates a consumer: with options where there are some for all settings, else with curl. */
export function createLine(map: string, body: Readonly<Record<string, unknown>>): string {
  const { name, events, filter, max_delay_ms: longest, ...rest } = body;
  const { subjects, expression, ...others } = (filter ?? {}) as Readonly<Record<string, unknown>>;
  if (longest !== undefined || Object.keys(others).length > 0)
    return curl("POST", url`/api/maps/${map}/consumers`, body);
  const list = (value: unknown) => (Array.isArray(value) ? value.join(",") : (value as string | undefined));
  const options = Object.fromEntries(
    Object.entries(rest).map(([field, value]) => [
      field.replaceAll("_", "-"),
      value as string | number | boolean | null,
    ]),
  );
  return commandLine(["consumer", "create"], [map, String(name ?? "NAME")], {
    events: list(events),
    subjects: list(subjects),
    filter: expression as string | undefined,
    ...options,
  });
}

// What a map used: the sums of its periods.

import { dateText } from "../../lib/history/time";

/** The length of a period. */
export type By = "hour" | "day";

/** One period, as the API answers. */
export interface Period {
  /** When it began, ISO. */
  from: string;
  events: number;
  event_bytes: number;
  deliveries: number;
  delivery_bytes: number;
  attempts: number;
  failed_attempts: number;
}

/** How many periods a chart has at least. */
const LEAST: Record<By, number> = { hour: 24, day: 14 };
const LENGTH_MS: Record<By, number> = { hour: 3_600_000, day: 86_400_000 };

/** The periods, and before them such as have nothing: so a chart of a new map has a time axis that can be read. */
export function filled(periods: readonly Period[], by: By): readonly Period[] {
  const first = Date.parse(periods[0]?.from ?? "");
  if (Number.isNaN(first)) return periods;
  const before = Array.from({ length: Math.max(0, LEAST[by] - periods.length) }, (_, i): Period => {
    const from = new Date(first - (i + 1) * LENGTH_MS[by]).toISOString();
    return { from, events: 0, event_bytes: 0, deliveries: 0, delivery_bytes: 0, attempts: 0, failed_attempts: 0 };
  });
  return [...before.reverse(), ...periods];
}

/** What is counted. */
export type Counter = Exclude<keyof Period, "from">;

export const COUNTERS: readonly Counter[] = [
  "events",
  "event_bytes",
  "deliveries",
  "delivery_bytes",
  "attempts",
  "failed_attempts",
];

/** The sums of the periods. */
export function totalsOf(periods: readonly Period[]): Record<Counter, number> {
  const sum = (of: Counter) => periods.reduce((total, period) => total + period[of], 0);
  return Object.fromEntries(COUNTERS.map((counter) => [counter, sum(counter)])) as Record<Counter, number>;
}

/** A part of a whole in percent, in words; a dash if there is no whole. A small part is never called nothing. */
export function shareText(part: number, whole: number): string {
  if (whole === 0) return "–";
  const percent = (part / whole) * 100;
  if (part > 0 && percent < 0.1) return "less than 0.1 %";
  if (part < whole && percent > 99.9) return "more than 99.9 %";
  return `${percent >= 10 || percent === 0 ? Math.round(percent) : percent.toFixed(1)} %`;
}

/** The beginning of a period in words: an hour in local time, a day as it is counted, in UTC. */
export function periodText(from: string, by: By): string {
  const at = new Date(from);
  if (Number.isNaN(at.getTime())) return from;
  if (by === "day") return at.toISOString().slice(0, 10);
  return dateText(at.getTime()).slice(0, 16);
}

/** The periods as lines with commas, for a table of one's own. */
export function csvOf(periods: readonly Period[]): string {
  const line = (cells: readonly (string | number)[]) => cells.join(",");
  return [
    line(["from", ...COUNTERS]),
    ...periods.map((one) => line([one.from, ...COUNTERS.map((of) => one[of])])),
    "",
  ].join("\n");
}

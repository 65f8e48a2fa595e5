// Times as people write them, and as the console shows them.

const UNITS: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/**
 * A time as people write it, in Unix milliseconds: `15m`, `1h ago` or `2 days`, or a date with a time, which is
 * local unless it has an offset. `null` if it is none.
 */
export function timeOf(text: string, now: number): number | null {
  const given = text.trim();
  if (given.toLowerCase() === "now") return now;
  const ago = /^(\d{1,6})\s*([smhdw]|sec(?:ond)?s?|min(?:ute)?s?|hours?|days?|weeks?)(?:\s+ago)?$/i.exec(given);
  if (ago !== null) return now - Number(ago[1]) * (UNITS[(ago[2] ?? "").charAt(0).toLowerCase()] ?? 0);
  if (!/^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?$/.test(given)) return null;
  const ms = Date.parse(given.length === 10 ? `${given}T00:00` : given.replace(" ", "T"));
  return Number.isNaN(ms) ? null : ms;
}

/** A time of the API in microseconds since 1970, which a number holds exactly; `null` if it is none. */
export function microsOf(iso: string): number | null {
  const found = /^(.*T\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(iso);
  if (found === null) return null;
  const ms = Date.parse(`${found[1]}${found[3]}`);
  const fraction = (found[2] ?? "").padEnd(6, "0").slice(0, 6);
  return Number.isNaN(ms) ? null : ms * 1000 + Number(fraction);
}

/** A duration of microseconds in words of three digits: `840 µs`, `1.24 ms`, `2.5 s`, `3 min 4 s`. */
export function durationText(micros: number): string {
  const size = Math.abs(micros);
  const sign = micros < 0 ? "−" : "";
  const three = (value: number): string => {
    const decimals = value < 10 ? 2 : value < 100 ? 1 : 0;
    const text = value.toFixed(decimals);
    return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
  };
  if (size < 1000) return `${sign}${Math.round(size)} µs`;
  if (size < 999_500) return `${sign}${three(size / 1000)} ms`;
  if (size < 59_950_000) return `${sign}${three(size / 1e6)} s`;
  const seconds = Math.round(size / 1e6);
  const units: [number, string][] = [
    [86_400, "d"],
    [3600, "h"],
    [60, "min"],
    [1, "s"],
  ];
  const first = units.findIndex(([unit]) => seconds >= unit);
  const [unit, name] = units[first] ?? [1, "s"];
  const [below, smaller] = units[first + 1] ?? [1, "s"];
  const [whole, rest] = [Math.floor(seconds / unit), Math.floor((seconds % unit) / below)];
  return rest === 0 || unit === 1 ? `${sign}${whole} ${name}` : `${sign}${whole} ${name} ${rest} ${smaller}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** The time of day with milliseconds, local. */
export function clockText(iso: string): string {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return iso;
  const ms = String(at.getMilliseconds()).padStart(3, "0");
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}

/** Date and time to the second, local. */
export function dateText(ms: number): string {
  const at = new Date(ms);
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  return `${date} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
}

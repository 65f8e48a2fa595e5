// Numbers, sizes and times, as people read them.
import { useEffect, useRef, useState } from "preact/hooks";
import { eachSecond, relativeText } from "../lib/relative";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** 12,345. Null is shown as a dash. */
export function number(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : whole.format(value);
}

/** 12.3K. */
export function compact(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : short.format(value);
}

/** 1.5 MiB. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let [size, unit] = [value, 0];
  while (Math.abs(size) >= 1024 && unit < units.length - 1) [size, unit] = [size / 1024, unit + 1];
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** 250 ms, 3.2 s, 12 min, 5 h, 3 d. */
export function duration(milliseconds: number | null | undefined): string {
  if (milliseconds === null || milliseconds === undefined) return "–";
  const size = Math.abs(milliseconds);
  const sign = milliseconds < 0 ? "−" : "";
  if (size < 1000) return `${sign}${Math.round(size)} ms`;
  if (size < 60_000) return `${sign}${(size / 1000).toFixed(size < 10_000 ? 1 : 0)} s`;
  if (size < 3_600_000) return `${sign}${Math.round(size / 60_000)} min`;
  if (size < 172_800_000) return `${sign}${Math.round(size / 3_600_000)} h`;
  return `${sign}${Math.round(size / 86_400_000)} d`;
}

/** 2026-11-30 17:04:05, in the browser's time zone. */
export function stamp(at: number): string {
  const d = new Date(at);
  const two = (n: number) => String(n).padStart(2, "0");
  const time = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${time}`;
}

/** A time as "5 min ago" or "in 3 d", with the exact one as its title. */
export function Time({ at, exact = false }: { at: string | number | null | undefined; exact?: boolean }) {
  const [, tick] = useState(0);
  const then = typeof at === "string" ? Date.parse(at) : (at ?? NaN);
  const relative = Number.isNaN(then) || exact ? "" : relativeText(then, Date.now());
  const shown = useRef(relative);
  shown.current = relative;
  const moves = relative !== "";
  useEffect(() => {
    if (!moves) return undefined;
    return eachSecond(() => {
      if (relativeText(then, Date.now()) !== shown.current) tick((n) => n + 1);
    });
  }, [then, moves]);
  if (at === null || at === undefined) return <span class="muted">–</span>;
  if (Number.isNaN(then)) return <span>{String(at)}</span>;
  const iso = new Date(then).toISOString();
  return (
    <time dateTime={iso} title={`${stamp(then)} (${iso})`}>
      {exact ? stamp(then) : relative}
    </time>
  );
}

export function Bytes({ value }: { value: number | null | undefined }) {
  return (
    <span title={value === null || value === undefined ? undefined : `${number(value)} bytes`}>{bytes(value)}</span>
  );
}

export function Num({ value }: { value: number | null | undefined }) {
  return <span class="num">{number(value)}</span>;
}

/** An id: short enough for a table, whole in its title. */
export function Id({ value, chars = 8 }: { value: string; chars?: number }) {
  return <code title={value}>{value.length <= chars + 1 ? value : `${value.slice(0, chars)}…`}</code>;
}

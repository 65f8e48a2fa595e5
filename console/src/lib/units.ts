// Durations and sizes as people write them in settings, and back.

/** What a number counts: nothing but itself, seconds, or bytes. */
export type Unit = "" | "seconds" | "bytes";

const SECONDS: readonly (readonly [string, number])[] = [
  ["d", 86_400],
  ["h", 3600],
  ["min", 60],
  ["s", 1],
];
/** Other names of units of time, as people write them. */
const TIMES: Readonly<Record<string, number>> = {
  s: 1,
  sec: 1,
  second: 1,
  m: 60,
  min: 60,
  minute: 60,
  h: 3600,
  hour: 3600,
  d: 86_400,
  day: 86_400,
  w: 604_800,
  week: 604_800,
};
const SIZES: readonly (readonly [string, number])[] = [
  ["TiB", 2 ** 40],
  ["GiB", 2 ** 30],
  ["MiB", 2 ** 20],
  ["KiB", 2 ** 10],
];
const POWERS: Readonly<Record<string, number>> = { k: 1, m: 2, g: 3, t: 4 };

/** What is written wrong, by the unit. */
export const FAULTS: Readonly<Record<Unit, string>> = {
  "": "A whole number, as in 1,000.",
  seconds: "A duration, as in 7 d, 12 h or 90 min.",
  bytes: "A size, as in 256 MiB or 1.5 GiB.",
};

/** Reads a number in a unit; null if it is none. A number without a unit counts seconds, or bytes. */
export function read(text: string, unit: Unit): number | null {
  const given = text.trim().replace(/(?<=\d)[,_](?=\d{3}\b)/g, "");
  if (/^\d+$/.test(given)) return whole(Number(given));
  if (unit === "seconds") return secondsOf(given);
  return unit === "bytes" ? bytesOf(given) : null;
}

/** Writes a number in a unit so that it is read as the same number. */
export function written(value: number, unit: Unit): string {
  if (unit === "seconds") {
    let rest = value;
    const parts = SECONDS.flatMap(([name, length]) => {
      const count = Math.floor(rest / length);
      rest -= count * length;
      return count === 0 ? [] : [`${count} ${name}`];
    });
    return parts.length === 0 ? "0 s" : parts.join(" ");
  }
  if (unit === "bytes") {
    // With at most two decimals, and only if nothing is rounded.
    const fits = SIZES.find(([, size]) => value >= size && Number.isInteger((value / size) * 4));
    return fits === undefined ? String(value) : `${value / fits[1]} ${fits[0]}`;
  }
  return String(value);
}

function secondsOf(text: string): number | null {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)\s*([a-z]+)\s*/gi)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text) return null;
  let sum = 0;
  for (const [, count, name = ""] of parts) {
    const length = TIMES[name.toLowerCase()] ?? TIMES[name.toLowerCase().replace(/s$/, "")];
    if (length === undefined) return null;
    sum += Number(count) * length;
  }
  return whole(sum);
}

function bytesOf(text: string): number | null {
  const [, count, power, binary] = /^(\d+(?:\.\d+)?)\s*([kmgt])?(i)?b?(?:ytes?)?$/i.exec(text) ?? [];
  if (count === undefined) return null;
  if (power === undefined) return whole(Number(count));
  // MB counts thousands where it is written out; M alone and MiB count 1024.
  const base = binary === undefined && /b$/i.test(text) ? 1000 : 1024;
  return whole(Math.round(Number(count) * base ** (POWERS[power.toLowerCase()] ?? 0)));
}

function whole(value: number): number | null {
  return Number.isSafeInteger(value) && value >= 0 ? value : null;
}

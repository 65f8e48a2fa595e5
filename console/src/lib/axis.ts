// What stands beside the ticks of an axis: all in one unit, with as many decimals as the step between them needs.

const BYTES: readonly [number, string][] = [
  [2 ** 50, " PiB"],
  [2 ** 40, " TiB"],
  [2 ** 30, " GiB"],
  [2 ** 20, " MiB"],
  [2 ** 10, " KiB"],
  [1, " B"],
];
/** Numbers are written out up to 9,999. */
const COUNTS: readonly [number, string][] = [
  [1e12, "T"],
  [1e9, "B"],
  [1e6, "M"],
  [1e4, "K"],
  [1, ""],
];

/** The texts of the ticks. */
export function tickTexts(ticks: readonly number[], kind: "bytes" | "count"): string[] {
  const most = Math.max(0, ...ticks.map(Math.abs));
  const [from, unit] = (kind === "bytes" ? BYTES : COUNTS).find(([least]) => most >= least) ?? [1, UNIT[kind]];
  const size = unit === "K" ? 1000 : from;
  const values = ticks.map((tick) => tick / size);
  const decimals = decimalsOf(values);
  return values.map((value) => (value === 0 ? "0" : `${written(value, decimals)}${unit}`));
}

const UNIT = { bytes: " B", count: "" };

/** The fewest decimals, of three at most, that tell the values as they are. */
function decimalsOf(values: readonly number[]): number {
  const exact = (decimals: number) =>
    values.every((value) => Math.abs(value - Number(value.toFixed(decimals))) < 1e-9 * Math.max(1, Math.abs(value)));
  return [0, 1, 2].find(exact) ?? 3;
}

function written(value: number, decimals: number): string {
  return value.toLocaleString("en", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** The steps between ticks of what comes in whole numbers: 1, 2, 5, 10 … */
export const WHOLE: number[] = Array.from({ length: 45 }, (_, i) => ([1, 2, 5][i % 3] ?? 1) * 10 ** Math.floor(i / 3));

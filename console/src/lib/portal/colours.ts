// The colours of a portal link. They come from a request of a back end, so nothing but #rrggbb is taken, and what
// could not be read on its background is replaced.

/** A colour with its parts from 0 to 255. */
export interface Colour {
  red: number;
  green: number;
  blue: number;
}

/** What a link says of colours, as it came. */
export interface Theme {
  accent?: unknown;
  background?: unknown;
  text?: unknown;
  dark?: unknown;
}

/** Least contrast of text, and of what is no text, as the edges of fields (WCAG 2.2 AA: 1.4.3, 1.4.11). */
const TEXT = 4.5;
const PARTS = 3;

/** Reads #rrggbb, and nothing else. */
export function colourOf(text: unknown): Colour | null {
  if (typeof text !== "string" || !/^#[0-9a-fA-F]{6}$/.test(text)) return null;
  const part = (at: number) => Number.parseInt(text.slice(at, at + 2), 16);
  return { red: part(1), green: part(3), blue: part(5) };
}

/** Writes #rrggbb. */
export function hexOf({ red, green, blue }: Colour): string {
  return `#${[red, green, blue].map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;
}

/** The contrast of two colours, from 1 to 21 (WCAG 2.2). */
export function contrast(one: Colour, other: Colour): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

function luminance({ red, green, blue }: Colour): number {
  const part = (value: number) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue);
}

/** A colour between two: 0 is the first, 1 the second. */
export function mix(one: Colour, other: Colour, share: number): Colour {
  const between = (from: number, to: number) => from + (to - from) * share;
  return {
    red: between(one.red, other.red),
    green: between(one.green, other.green),
    blue: between(one.blue, other.blue),
  };
}

const BLACK: Colour = { red: 0, green: 0, blue: 0 };
const WHITE: Colour = { red: 255, green: 255, blue: 255 };

/** Black or white, whichever is easier to read on the colour. */
export function readableOn(background: Colour): Colour {
  return contrast(BLACK, background) >= contrast(WHITE, background) ? BLACK : WHITE;
}

/** The colour, moved towards black or white until it has at least this contrast on each of the backgrounds. */
export function guarded(colour: Colour, backgrounds: readonly Colour[], least: number = TEXT): Colour {
  const enough = (one: Colour) => backgrounds.every((background) => contrast(one, background) >= least);
  const [first = WHITE] = backgrounds;
  const towards = readableOn(first);
  for (let step = 0; step <= 20; step += 1) {
    // What is written has whole parts, so these are compared.
    const tried = colourOf(hexOf(mix(colour, towards, step / 20))) ?? towards;
    if (enough(tried)) return tried;
  }
  return towards;
}

/** The usual colours of tokens.css. */
const LIGHT = {
  accent: "#1d5bc7",
  background: "#f7f7f5",
  text: "#1a1c1f",
  ok: "#1a6b3c",
  warn: "#855000",
  bad: "#b02222",
};
const DARK = {
  accent: "#84b0ff",
  background: "#111316",
  text: "#e7e8ea",
  ok: "#6fcf97",
  warn: "#e9b45c",
  bad: "#ff9088",
};

/** The look of a portal: whether it is dark, and the custom properties of tokens.css that it replaces. */
export interface Look {
  dark: boolean;
  properties: Readonly<Record<string, string>>;
}

/**
 * Makes the look of a portal of what its link says. What is missing, or is no colour, is the usual one. Null: the link
 * says nothing, so that the reader's own setting decides.
 */
export function lookOf(theme: Theme): Look | null {
  const given = colourOf(theme.background);
  const named = [given, colourOf(theme.accent), colourOf(theme.text)].some((colour) => colour !== null);
  if (!named && typeof theme.dark !== "boolean") return null;
  const dark = given === null ? theme.dark === true : readableOn(given) === WHITE;
  const usual = dark ? DARK : LIGHT;
  const colour = (text: string) => colourOf(text) ?? BLACK;
  const ground = given ?? colour(usual.background);
  const tint = tints(ground);
  const grounds = [ground, tint(0.03), tint(0.05), tint(0.08)];
  const soft = (one: Colour) => softened(ground, one);
  const accentSoft = soft(colourOf(theme.accent) ?? colour(usual.accent));
  const [okSoft, warnSoft, badSoft] = [soft(colour(usual.ok)), soft(colour(usual.warn)), soft(colour(usual.bad))];
  const all = [...grounds, accentSoft, okSoft, warnSoft, badSoft];
  const text = guarded(colourOf(theme.text) ?? colour(usual.text), all, 7);
  const accent = guarded(colourOf(theme.accent) ?? colour(usual.accent), [...grounds, accentSoft]);
  const properties: Record<string, Colour> = {
    ground,
    surface: tint(0.03),
    raised: tint(0.05),
    hover: tint(0.08),
    "off-soft": tint(0.08),
    line: tint(0.18),
    "line-strong": guarded(tint(0.4), grounds, PARTS),
    text,
    muted: guarded(rounded(mix(text, ground, 0.35)), all),
    accent,
    "on-accent": readableOn(accent),
    "accent-soft": accentSoft,
    ok: guarded(colour(usual.ok), [...grounds, okSoft]),
    "ok-soft": okSoft,
    warn: guarded(colour(usual.warn), [...grounds, warnSoft]),
    "warn-soft": warnSoft,
    bad: guarded(colour(usual.bad), [...grounds, badSoft]),
    "bad-soft": badSoft,
  };
  return {
    dark,
    properties: Object.fromEntries(Object.entries(properties).map(([name, value]) => [`--${name}`, hexOf(value)])),
  };
}

/** A ground with a touch of a colour: so much of it that what can be read on the ground can still be read. */
function softened(ground: Colour, colour: Colour): Colour {
  const text = readableOn(ground);
  for (const share of [0.1, 0.05, 0.02]) {
    const touched = rounded(mix(ground, colour, share));
    if (contrast(text, touched) >= TEXT) return touched;
  }
  return ground;
}

/** Shades of a ground: towards its text, as long as black or white can be read on them, else away from it. */
function tints(ground: Colour): (share: number) => Colour {
  const towards = readableOn(ground);
  const away = towards === WHITE ? BLACK : WHITE;
  return (share) => {
    const tint = rounded(mix(ground, towards, share));
    return contrast(towards, tint) >= 7 || share > 0.1 ? tint : rounded(mix(ground, away, share));
  };
}

function rounded(colour: Colour): Colour {
  return { red: Math.round(colour.red), green: Math.round(colour.green), blue: Math.round(colour.blue) };
}

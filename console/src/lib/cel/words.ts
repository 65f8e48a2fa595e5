// The words of the expression language: what `core::expression` of the server knows, with a line on each.

/** A word that an expression may use. */
export interface Word {
  name: string;
  /** What stands behind the name when it is written, as in `(text, 4)`. */
  takes: string;
  /** One line for people. */
  means: string;
}

/** The names of an event's fields. */
export const FIELDS: readonly Word[] = [
  { name: "type", takes: "", means: "the type, a text" },
  { name: "subject", takes: "", means: 'the subject, a text; "" is the map\'s own' },
  { name: "payload", takes: "", means: "the payload" },
  { name: "id", takes: "", means: "the id, a text" },
  { name: "seq", takes: "", means: "the number in the stream" },
  { name: "ts", takes: "", means: 'the time, as in "2026-01-31T12:00:00.000Z"' },
  { name: "map_id", takes: "", means: "the id of the map, a text" },
  { name: "source", takes: "", means: "the ingest source, or null" },
];

/** Functions that stand before their arguments. */
export const FUNCTIONS: readonly Word[] = [
  { name: "has", takes: "(payload.name)", means: "whether there is such a member" },
  { name: "size", takes: "(x)", means: "characters of a text, elements of a list" },
  { name: "default", takes: "(x, y)", means: "the first that is there and not empty" },
  { name: "int", takes: "(x)", means: "a number without its fraction" },
  { name: "double", takes: "(x)", means: "a number from a text" },
  { name: "string", takes: "(x)", means: "a text from a number" },
  { name: "lower", takes: "(text)", means: "in small letters" },
  { name: "upper", takes: "(text)", means: "in capitals" },
  { name: "join", takes: '(list, ", ")', means: "the elements as one text" },
  { name: "date", takes: '(ts, "YYYY-MM-DD")', means: "a time in words, UTC" },
  { name: "fixed", takes: "(number, 2)", means: "a number with so many decimals" },
  { name: "json", takes: "(x)", means: "a value as JSON" },
  { name: "truncate", takes: "(text, 10)", means: "at most so many characters" },
  { name: "discord", takes: "(text)", means: "escaped for Discord" },
  { name: "slack", takes: "(text)", means: "escaped for Slack" },
];

/** What stands behind a dot. */
export const METHODS: readonly Word[] = [
  { name: "contains", takes: '("")', means: "whether the text has this in it" },
  { name: "startsWith", takes: '("")', means: "whether the text begins with this" },
  { name: "endsWith", takes: '("")', means: "whether the text ends with this" },
  { name: "size", takes: "()", means: "characters of a text, elements of a list" },
  { name: "exists", takes: "(x, )", means: "true for at least one element" },
  { name: "all", takes: "(x, )", means: "true for every element" },
  { name: "exists_one", takes: "(x, )", means: "true for exactly one element" },
  { name: "map", takes: "(x, )", means: "a new value for each element" },
  { name: "filter", takes: "(x, )", means: "the elements for which it is true" },
];

/** The methods that run over elements, and whose first argument is a name for the element. */
export const LOOPS: ReadonlySet<string> = new Set(["exists", "all", "exists_one", "map", "filter"]);

/** The words that are values, and the operator that is a word. */
export const LITERALS: readonly Word[] = [
  { name: "true", takes: "", means: "yes" },
  { name: "false", takes: "", means: "no" },
  { name: "null", takes: "", means: "nothing" },
  { name: "in", takes: " []", means: "whether it is one of a list" },
];

/** Longest expression, in bytes of UTF-8. */
export const LONGEST = 1024;

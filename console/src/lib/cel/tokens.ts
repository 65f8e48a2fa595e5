// The pieces of an expression, for completion and for colours. The server alone decides what is valid.

/** What a piece is. `open` is a text whose end is missing. */
export type TokenKind = "name" | "number" | "text" | "open" | "comment" | "sign";

/** A piece of an expression: characters `from` to `to` (not included) of the string. */
export interface Token {
  kind: TokenKind;
  from: number;
  to: number;
  text: string;
}

const SPACE = /\s*/y;
const NAME = /[A-Za-z_][A-Za-z0-9_]*/y;
const NUMBER = /(?:0[xX][0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)[uU]?/y;
const COMMENT = /\/\/[^\n]*/y;
const QUOTE = /[rRbB]{0,2}("""|'''|"|')/y;
const SIGN = /&&|\|\||[=!<>]=|./suy;

function match(pattern: RegExp, text: string, at: number): string | null {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0] ?? null;
}

/** The end of a text that begins at `from`, and whether its closing quote is there. */
function endOfText(text: string, from: number, opening: string): { to: number; closed: boolean } {
  const quote = opening.replace(/^[rRbB]+/, "");
  const raw = /^[rRbB]*[rR]/.test(opening);
  let at = from + opening.length;
  while (at < text.length) {
    if (!raw && text[at] === "\\") {
      at += 2;
    } else if (text.startsWith(quote, at)) {
      return { to: at + quote.length, closed: true };
    } else if (quote.length === 1 && text[at] === "\n") {
      return { to: at, closed: false };
    } else {
      at += 1;
    }
  }
  return { to: text.length, closed: false };
}

/** The pieces of a text, without the spaces between them. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < text.length) {
    at += match(SPACE, text, at)?.length ?? 0;
    if (at >= text.length) break;
    const token = tokenAt(text, at);
    tokens.push(token);
    at = token.to;
  }
  return tokens;
}

function tokenAt(text: string, from: number): Token {
  const quote = match(QUOTE, text, from);
  if (quote !== null) {
    const { to, closed } = endOfText(text, from, quote);
    return { kind: closed ? "text" : "open", from, to, text: text.slice(from, to) };
  }
  const kinds: [TokenKind, RegExp][] = [
    ["comment", COMMENT],
    ["name", NAME],
    ["number", NUMBER],
    ["sign", SIGN],
  ];
  for (const [kind, pattern] of kinds) {
    const found = match(pattern, text, from);
    if (found !== null && found !== "") return { kind, from, to: from + found.length, text: found };
  }
  return { kind: "sign", from, to: from + 1, text: text.slice(from, from + 1) };
}

/** The value of a token that is a plain text; `null` for everything else. */
export function textOf(token: Token): string | null {
  if (token.kind !== "text") return null;
  const inside = /^(["'])([^\\]*)\1$/s.exec(token.text);
  return inside?.[2] ?? null;
}

// The page that is shown stands in the fragment: #/maps/{map}/tail?filter=….
import { signal } from "@preact/signals";
import type { Query } from "./api";
import { withQuery } from "./api";

export interface Route {
  /** The segments, unescaped. */
  path: readonly string[];
  query: URLSearchParams;
}

export const route = signal<Route>(parse(location.hash));

/** Begins to follow the address. */
export function follow(): void {
  addEventListener("hashchange", () => {
    route.value = parse(location.hash);
  });
}

/** Returns the address of a page, for a link. */
export function href(path: readonly (string | number)[], query?: Query): string {
  return withQuery(`#/${path.map((segment) => encodeURIComponent(segment)).join("/")}`, query);
}

/** Shows a page. */
export function go(path: readonly (string | number)[], query?: Query, replace = false): void {
  const to = href(path, query);
  if (replace) {
    history.replaceState(null, "", to);
    route.value = parse(to);
  } else {
    location.hash = to;
  }
}

/** Changes parameters of the shown page; null removes one. No entry in the history is made. */
export function setQuery(changes: Record<string, string | null>): void {
  const { path, query } = route.peek();
  const all: Query = Object.fromEntries(query);
  go(path, { ...all, ...changes }, true);
}

function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return {
    path: path
      .split("/")
      .filter((s) => s !== "")
      .map(unescape),
    query: new URLSearchParams(query),
  };
}

function unescape(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

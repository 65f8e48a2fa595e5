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

/** What is typed on the shown page and not saved: in words, what would be lost. */
const held = new Set<{ what: string }>();

type Ask = (what: string) => Promise<boolean>;

let asks: Ask = () => Promise.resolve(true);

/** Begins to follow the address. A page that holds something is left only after `ask` was answered so. */
export function follow(ask: Ask = asks): void {
  asks = ask;
  addEventListener("hashchange", () => {
    const to = location.hash;
    if (!isHeldUp(to)) {
      route.value = parse(to);
      return;
    }
    // The browser's own buttons: the page stays, and so does its address until somebody says otherwise.
    const { path, query } = route.peek();
    history.replaceState(null, "", href(path, Object.fromEntries(query)));
    leaveFor(to);
  });
  // A link asks before it is followed.
  addEventListener(
    "click",
    (event) => {
      const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>('a[href^="#/"]') : null;
      const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
      if (link === null || !plain || event.defaultPrevented || !isHeldUp(link.hash)) return;
      event.preventDefault();
      leaveFor(link.hash);
    },
    { capture: true },
  );
}

/** Whether the shown page asks before it is left for that address. */
function isHeldUp(to: string): boolean {
  return held.size > 0 && parse(to).path.join("/") !== route.peek().path.join("/");
}

/** Shows a page, once the shown one may be left. */
function leaveFor(to: string): void {
  const [first] = held;
  if (first === undefined || !isHeldUp(to)) {
    location.hash = to;
    return;
  }
  asks(first.what).then(
    (leave) => {
      if (!leave) return;
      held.clear();
      location.hash = to;
    },
    () => {},
  );
}

/** Has the page ask before it is left: what it has is not saved. Returns what ends that. */
export function hold(what: string): () => void {
  const mine = { what };
  held.add(mine);
  addEventListener("beforeunload", warn);
  return () => {
    held.delete(mine);
    if (held.size === 0) removeEventListener("beforeunload", warn);
  };
}

/** Has the browser ask before the tab is closed or loaded again. A frame does not hold up the page around it. */
function warn(event: BeforeUnloadEvent): void {
  if (held.size > 0 && window.parent === window) event.preventDefault();
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
  } else leaveFor(to);
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

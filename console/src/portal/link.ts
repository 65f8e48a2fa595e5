// The token of the link, and what it opens. The token is kept in the memory of this page alone.
import { signal } from "@preact/signals";
import { api, ApiError, authenticate } from "../api";
import { lookOf, type Theme } from "../lib/portal/colours";
import { tokenOf } from "../lib/portal/link";
import { go } from "../router";
import { mapRef, type MapRef } from "../session";

/** What a link opens. */
export interface Opened {
  map: MapRef;
  scopes: readonly string[];
  expiresAt: string;
}

export type LinkState =
  | { state: "asking" }
  | { state: "open"; opened: Opened }
  | { state: "ended" }
  /** The page was opened without its link, as after a reload of the frame. */
  | { state: "missing" }
  | { state: "failed"; error: unknown };

export const link = signal<LinkState>({ state: "asking" });

interface Answer {
  data: {
    map: { id: string; slug?: string | null; name?: string | null };
    scopes: readonly string[];
    theme?: Theme | null;
    expires_at: string;
  };
}

/** Takes the token from the address, and asks the node what it opens. */
export function take(): void {
  const token = tokenOf(location.hash);
  // Before anything else: an address stands in histories, in screenshots and in what people copy.
  if (token !== null) go([], {}, true);
  if (token === null) {
    link.value = { state: "missing" };
    return;
  }
  authenticate({
    headers: () => ({ authorization: `Bearer ${token}` }),
    refused: () => {
      link.value = { state: "ended" };
    },
  });
  ask();
}

/**
 * Takes each later token, too: when the page around gives the frame a new link that differs in its token alone, the
 * browser loads nothing. It must hear of an address before those who show it.
 */
export function followLinks(): void {
  addEventListener("hashchange", () => {
    if (tokenOf(location.hash) !== null) take();
  });
}

/** How often it was asked: an answer about an earlier token counts no more. */
let asked = 0;

/** Asks the node what the link opens. */
export function ask(): void {
  const mine = ++asked;
  link.value = { state: "asking" };
  api.get<Answer>("/api/portal").then(
    ({ data }) => {
      if (mine !== asked) return;
      dress(data.theme ?? {});
      link.value = {
        state: "open",
        opened: { map: mapRef(data.map), scopes: data.scopes, expiresAt: data.expires_at },
      };
    },
    (error: unknown) => {
      if (mine === asked && !(error instanceof ApiError && error.status === 401))
        link.value = { state: "failed", error };
    },
  );
}

/** Sets the colours of the link, as custom properties: nothing of them is markup or a rule. */
function dress(theme: Theme): void {
  const look = lookOf(theme);
  if (look === null) return;
  const root = document.documentElement;
  root.dataset["theme"] = look.dark ? "dark" : "light";
  for (const [name, value] of Object.entries(look.properties)) root.style.setProperty(name, value);
}

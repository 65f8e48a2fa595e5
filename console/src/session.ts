// Who is signed in. The cookie is HttpOnly; what is kept here is what the node says about it.
import { signal } from "@preact/signals";
import { api, ApiError, authenticate, explain } from "./api";
import { cluster, clusterAt, clusterError, samples } from "./cluster";
import { lastMap } from "./maps";
import { go, route } from "./router";

export interface MapRef {
  id: string;
  /** The short name; of a map without one its id. It stands in addresses and command lines. */
  slug: string;
  name: string | null;
}

/** Makes one of what the API says of a map. */
export function mapRef(map: { id: string; slug?: string | null; name?: string | null }): MapRef {
  return { id: map.id, slug: map.slug ?? map.id, name: map.name === "" ? null : (map.name ?? null) };
}

/** A map, and what who is signed in may do there. */
export interface OwnMap extends MapRef {
  scopes: readonly string[];
}

export interface Session {
  role: "admin" | "map";
  /** The map of a map's token, or the first map of a person. Null for the admin. */
  map: MapRef | null;
  /** The maps of a map's token or of a person. Empty for the admin, who has all. */
  maps: readonly OwnMap[];
  scopes: readonly string[];
  csrf: string;
  expires_in_seconds: number;
}

export type SignedIn = { state: "asking" } | { state: "out"; why: string | null } | { state: "in"; session: Session };

export const signedIn = signal<SignedIn>({ state: "asking" });

/** Whether the node is being asked for the session because it has refused a request. */
let asking = false;

/** Makes each request prove the session, and asks the node whether there is one. */
export async function begin(): Promise<void> {
  authenticate({
    headers: (): Record<string, string> => {
      const now = signedIn.peek();
      return now.state === "in" ? { "x-waypost-csrf": now.session.csrf } : {};
    },
    refused: () => {
      // Many requests may be refused at once.
      if (signedIn.peek().state !== "in" || asking) return;
      asking = true;
      ask("The session has ended. Sign in again.")
        .catch(() => {})
        .finally(() => (asking = false));
    },
  });
  await ask(null);
}

/** Asks the node for the session: another tab may have a new one. Without one, `why` says so. */
async function ask(why: string | null): Promise<void> {
  try {
    // A browser that has no cookie of a session gets an empty answer.
    const answer = await api.get<{ data: Shown } | undefined>("/console/session", { quiet: true });
    if (answer === undefined) leave(why);
    else enter(answer.data);
  } catch (error) {
    // A session that has ended is answered with 401. Anything else is told: there may be one.
    const none = error instanceof ApiError && error.status === 401;
    leave(none ? why : explain(error));
  }
}

/** Signs in with a token. */
export async function signIn(token: string): Promise<void> {
  const { data } = await api.post<{ data: Shown }>("/console/session", { token }, { quiet: true });
  // The address may be what somebody else looked at.
  if (data.role === "map" && route.peek().path[0] !== "maps") go([], {}, true);
  enter(data);
}

/** A session as the node shows it. */
type Shown = Omit<Session, "map" | "maps"> & {
  map: { id: string; slug: string | null; name: string | null } | null;
  maps?: { id: string; slug: string | null; name: string | null; scopes: string[] }[];
};

function enter(shown: Shown): void {
  const { map, scopes } = shown;
  if (shown.role !== "admin") forget();
  const given = shown.maps ?? (map === null ? [] : [{ ...map, scopes: [...scopes] }]);
  const maps = given.map((one) => ({ ...mapRef(one), scopes: one.scopes }));
  signedIn.value = { state: "in", session: { ...shown, map: map === null ? null : mapRef(map), maps } };
}

export async function signOut(): Promise<void> {
  try {
    await api.delete("/console/session", { quiet: true });
  } catch (error) {
    // Whoever has no session has signed out already.
    if (!(error instanceof ApiError && error.status === 401)) throw error;
  }
  leave(null);
}

function leave(why: string | null): void {
  forget();
  signedIn.value = { state: "out", why };
}

/** Whoever comes next sees nothing of what the last one saw. */
function forget(): void {
  cluster.value = null;
  clusterAt.value = null;
  clusterError.value = null;
  samples.value = [];
  lastMap.value = null;
}

/** The session. Only for what is shown to those who are signed in. */
export function session(): Session {
  const now = signedIn.value;
  if (now.state !== "in") throw new Error("nobody is signed in");
  return now.session;
}

/** The map of that id or slug, if it is one of those of who is signed in. The admin has no list. */
export function ownMap(name: string | undefined): OwnMap | null {
  const now = signedIn.value;
  const maps = now.state === "in" ? now.session.maps : [];
  return maps.find((map) => map.id === name || map.slug === name) ?? null;
}

/** What who is signed in may do in the map that is shown. */
export function scopesHere(): readonly string[] {
  const now = signedIn.value;
  if (now.state !== "in") return [];
  const [first, second] = route.value.path;
  return (first === "maps" ? ownMap(second)?.scopes : undefined) ?? now.session.maps[0]?.scopes ?? now.session.scopes;
}

/** Whether who is signed in may do here what needs one of these scopes. The node decides; this only hides what would fail. */
export function can(...scopes: string[]): boolean {
  return isAdmin() || scopes.some((one) => scopesHere().includes(one));
}

export function isAdmin(): boolean {
  const now = signedIn.value;
  return now.state === "in" && now.session.role === "admin";
}

/** Whether there is more than one map to choose from. */
export function canSwitch(): boolean {
  const now = signedIn.value;
  return now.state === "in" && (now.session.role === "admin" || now.session.maps.length > 1);
}

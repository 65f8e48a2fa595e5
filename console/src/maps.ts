// The maps of the cluster, for those who choose one.
import { signal } from "@preact/signals";
import { api, ApiError, page, url, type Schemas } from "./api";

/** The pages that are read at most, of 1,000 maps each. */
const MOST_PAGES = 10;

/** The map that was shown last: the navigation leads back to it. */
export const lastMap = signal<string | null>(null);

/** What a search looks at. */
export type Found = Pick<Schemas["Map"], "id" | "name"> & { slug?: string | null };

export interface AllMaps {
  maps: Schemas["Map"][];
  /** Whether there are more than were read. */
  cut: boolean;
}

/** Reads the maps, 10,000 at most. */
export function readMaps(signal: AbortSignal): Promise<AllMaps> {
  return readAll(signal, false);
}

/** The same, with what goes on in each map now. Nodes that do not answer make it slow. */
export function readMapsNow(signal: AbortSignal): Promise<AllMaps> {
  return readAll(signal, true);
}

async function readAll(signal: AbortSignal, now: boolean): Promise<AllMaps> {
  const maps: Schemas["Map"][] = [];
  let after: string | null = null;
  for (let n = 0; n < MOST_PAGES; n++) {
    const got: { data: Schemas["Map"][]; next: string | null } = await page<Schemas["Map"]>("/api/maps", {
      query: { limit: 1000, after, now: now || null },
      signal,
    });
    maps.push(...got.data);
    after = got.next;
    if (after === null) return { maps, cut: false };
  }
  return { maps, cut: true };
}

/** Returns the maps that have all words of the text in their slug, name or id; those that begin with it come first. */
export function search<T extends Found>(maps: readonly T[], text: string): T[] {
  const words = text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  const textOf = (map: T) => `${map.slug ?? ""} ${map.name} ${map.id}`.toLowerCase();
  const begins = (map: T) => (words[0] !== undefined && textOf(map).startsWith(words[0]) ? 0 : 1);
  const found = maps.filter((map) => words.every((word) => textOf(map).includes(word)));
  return found.sort((a, b) => begins(a) - begins(b) || (a.slug ?? a.id).localeCompare(b.slug ?? b.id));
}

/** Reads a map with what goes on in it now; null if there is no such map. */
export async function readMapNow(map: string, signal: AbortSignal): Promise<Schemas["Map"] | null> {
  const path = url`/api/maps/${map}`;
  try {
    return (await api.get<{ data: Schemas["Map"] }>(path, { query: { now: true }, signal })).data;
  } catch (error) {
    // While the cluster is upgraded, a node that knows nothing of it may answer.
    if (error instanceof ApiError && error.code === "invalid_query") return findMap(map, signal);
    throw error;
  }
}

/** Returns the map with that id or slug, or null. */
export async function findMap(map: string, signal?: AbortSignal): Promise<Schemas["Map"] | null> {
  try {
    return (await api.get<{ data: Schemas["Map"] }>(url`/api/maps/${map}`, { signal })).data;
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return null;
    throw error;
  }
}

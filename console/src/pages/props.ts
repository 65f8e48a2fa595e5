import type { MapRef } from "../session";

/** What each page of one map gets. */
export interface MapPage {
  map: MapRef;
  /** The segments of the address after the page's own: `events/{id}` gives ["{id}"]. */
  rest: readonly string[];
}

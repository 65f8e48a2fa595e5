// What the pages about delivery read of the API.
import type { Schemas } from "../../api";
import type { MapRef } from "../../session";

export type Webhook = Schemas["Webhook"];
export type Attempt = Schemas["Attempt"];
export type Consumer = Schemas["Consumer"];
export type DeadLetter = Schemas["DeadLetter"];
export type Replay = Schemas["Replay"];
export type StoredEvent = Schemas["Event"];

/** A webhook or a consumer, as far as dead letters and replays are the same for both. */
export interface Target {
  /** How it is called: "webhook" or "consumer". */
  kind: "webhook" | "consumer";
  map: MapRef;
  /** What command lines and people call it. */
  name: string;
  /** What names it on the command line: a webhook's id, a consumer's name. */
  word: string;
  /** Its path in the API. */
  path: string;
  /** Whether it may be changed here. */
  write: boolean;
  /** Whether it delivers; what does not accepts neither replays nor retries. */
  active: boolean;
}

/** How a map is named on the command line. */
export function mapWord(map: MapRef): string {
  return map.slug || map.id;
}

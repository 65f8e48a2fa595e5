import { href } from "../../router";
import type { MapRef } from "../../session";
import { Id } from "../../ui";
import { useAccess } from "./access";
import { mapWord } from "./types";

/** The id of an event, which leads to what became of it where there is such a page. */
export function EventId({ map, id }: { map: MapRef; id: string }) {
  const { trace } = useAccess();
  // The end of an id is what differs between events of one day.
  const short = <Id value={id} chars={26} />;
  return trace ? <a href={href(["maps", mapWord(map), "events", id])}>{short}</a> : short;
}

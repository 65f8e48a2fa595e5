import { Secrets } from "./delivery/Secret";
import { SourceDetail } from "./ingest/Detail";
import { EditSource, NewSource } from "./ingest/Edit";
import { SourceList } from "./ingest/List";
import type { MapPage } from "./props";

/** The ingest sources of a map: the list, a form for a new one, or one of them. */
export function Ingest({ map, rest }: MapPage) {
  const [first, part] = rest;
  return (
    <div class="stack">
      {first === undefined && <SourceList map={map} />}
      {first === "new" && <NewSource map={map} />}
      {first !== undefined && first !== "new" && part === "edit" && <EditSource key={first} map={map} id={first} />}
      {first !== undefined && first !== "new" && part !== "edit" && <SourceDetail key={first} map={map} id={first} />}
      <Secrets />
    </div>
  );
}

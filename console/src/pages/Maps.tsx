import { useMemo, useState } from "preact/hooks";
import type { Schemas } from "../api";
import { rankOf } from "../lib/maps/standings";
import { counted } from "../lib/words";
import { readMaps, readMapsNow, search } from "../maps";
import { go, href, route, setQuery } from "../router";
import {
  Button,
  bytes,
  duration,
  Empty,
  Field,
  Id,
  number,
  PageHead,
  Table,
  Time,
  useResource,
  type Column,
} from "../ui";
import { CreateMap } from "./maps/CreateMap";
import { Standing } from "./maps/Standing";

/** The maps that are shown at first, and more each time. */
const STEP = 100;
/** How often what goes on in the maps is read again, in milliseconds; only while it is one answer. */
const EVERY = 10_000;
const ONE_ANSWER = 1000;

type Map = Schemas["Map"];
type Now = NonNullable<Map["now"]>;

/** All maps: search, open, create. */
export function Maps() {
  const [shown, setShown] = useState(STEP);
  const [creating, setCreating] = useState(false);
  const text = route.value.query.get("search") ?? "";
  const all = useResource(readMaps, []);
  const now = useNow(all.data?.maps.length ?? 0);
  const found = all.data === undefined ? undefined : search(all.data.maps, text);
  const total = all.data?.maps.length ?? 0;
  const count = all.data === undefined ? "" : all.data.cut ? `${number(total)} and more maps` : counted(total, "map");
  const create = () => setCreating(true);
  return (
    <>
      <PageHead
        title="Maps"
        actions={
          <Button kind="primary" icon="plus" onClick={create}>
            Create a map
          </Button>
        }
      >
        Each map is a tenant, with its own tokens, limits, retention and events.
      </PageHead>
      <div class="row row-bottom spread">
        <div class="search">
          <Field
            label="Search by name, slug or id"
            type="search"
            value={text}
            onInput={(value) => setQuery({ search: value === "" ? null : value })}
            onKeyDown={(event) => event.key === "Enter" && found?.[0] !== undefined && open(found[0])}
          />
        </div>
        <p class="muted" role="status">
          {text === "" || found === undefined ? count : `${number(found.length)} of ${count}`}
        </p>
      </div>
      {all.data?.cut === true && (
        <p class="hint">
          Only the first maps are searched. For another one, type its slug or id in the map switcher in the navigation.
        </p>
      )}
      <Table
        caption="Maps"
        columns={columnsOf(now)}
        rows={found?.slice(0, shown)}
        rowKey={(map) => map.id}
        onOpen={open}
        loading={all.loading}
        error={all.error}
        retry={all.reload}
        more={found !== undefined && found.length > shown ? () => setShown(shown + STEP) : undefined}
        empty={
          text === "" ? (
            <Empty title="There are no maps yet.">
              <Button kind="primary" onClick={create}>
                Create the first one
              </Button>
            </Empty>
          ) : (
            "No map has this in its name, slug or id."
          )
        }
      />
      {creating && <CreateMap onClose={() => setCreating(false)} onCreated={all.reload} />}
    </>
  );
}

function open(map: Map): void {
  go(["maps", map.slug ?? map.id, "overview"]);
}

/** What goes on in the maps now, by their ids. Until it is known, and where it is not, the list stands without it. */
function useNow(total: number): ReadonlyMap<string, Now> {
  const every = total <= ONE_ANSWER ? EVERY : undefined;
  const read = useResource((signal) => readMapsNow(signal).then(({ maps }) => maps), [], every);
  const maps = read.data;
  return useMemo(
    () => new globalThis.Map((maps ?? []).flatMap((map) => (map.now ? [[map.id, map.now] as const] : []))),
    [maps],
  );
}

function columnsOf(now: ReadonlyMap<string, Now>): readonly Column<Map>[] {
  return [
    {
      key: "slug",
      title: "Map",
      sort: (map) => map.slug ?? map.id,
      cell: (map) => (
        <div class="stack-none">
          <a href={href(["maps", map.slug ?? map.id, "overview"])}>{map.slug ?? map.id}</a>
          {map.name !== "" && map.name !== map.slug && <span class="hint clip">{map.name}</span>}
        </div>
      ),
    },
    {
      key: "state",
      title: "State",
      sort: (map) => rankOf(now.get(map.id) ?? null),
      cell: (map) => <Standing map={map.slug ?? map.id} standings={now.get(map.id) ?? null} />,
    },
    {
      key: "connections",
      title: "Connections",
      align: "end",
      wide: true,
      sort: (map) => now.get(map.id)?.connections ?? null,
      cell: (map) => number(now.get(map.id)?.connections),
    },
    {
      key: "stored",
      title: "Stored",
      align: "end",
      wide: true,
      sort: (map) => map.stored?.events ?? null,
      cell: (map) => <Stored map={map} />,
    },
    { key: "keeps", title: "Keeps", wide: true, cell: (map) => keeps(map.retention) },
    { key: "id", title: "Id", wide: true, cell: (map) => <Id value={map.id} /> },
    {
      key: "made",
      title: "Created",
      wide: true,
      sort: (map) => map.inserted_at,
      cell: (map) => <Time at={map.inserted_at} />,
    },
  ];
}

/** How much of a map's events is stored. */
function Stored({ map }: { map: Map }) {
  if (map.stored === undefined) return <span class="muted">–</span>;
  return (
    <div class="stack-none">
      <span>{counted(map.stored.events, "event")}</span>
      <span class="hint">{bytes(map.stored.bytes)}</span>
    </div>
  );
}

/** What of a map's events is kept, in a few words. */
export function keeps(retention: Schemas["Retention"]): string {
  const parts = [
    retention.events != null && counted(retention.events, "event"),
    retention.age_seconds != null && duration(retention.age_seconds * 1000),
    retention.bytes != null && bytes(retention.bytes),
  ].filter(Boolean);
  return parts.length === 0 ? "everything" : parts.join(", ");
}

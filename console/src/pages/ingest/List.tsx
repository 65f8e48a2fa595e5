import { api, url, type Schemas } from "../../api";
import { wayOf } from "../../lib/delivery/source-settings";
import { sourceState } from "../../lib/delivery/state";
import { go, href } from "../../router";
import type { MapRef } from "../../session";
import { Empty, LinkButton, number, PageHead, Status, Table, Time, useResource, type Column } from "../../ui";
import { mapWord } from "../delivery/types";
import { Rate } from "../delivery/Rate";
import { useRates } from "../delivery/useRates";

export type Source = Schemas["Source"];

const EVERY = 4000;

export function SourceList({ map }: { map: MapRef }) {
  const list = useResource(
    (signal) => api.get<{ data: Source[] }>(url`/api/maps/${map.id}/ingest`, { signal }).then((answer) => answer.data),
    [map.id],
    EVERY,
  );
  const rates = useRates(list.data, (source) => [source.id, source.eventsReceived]);
  const at = (id: string) => ["maps", mapWord(map), "ingest", id];
  return (
    <>
      <PageHead
        title="Ingest"
        actions={
          <LinkButton kind="primary" icon="plus" href={href(at("new"))}>
            New source
          </LinkButton>
        }
      >
        Each is an address at which another service posts events into the map.
      </PageHead>
      <Table
        caption="Ingest sources"
        columns={columnsOf((source) => href(at(source.id)), rates)}
        rows={list.data}
        rowKey={(source) => source.id}
        onOpen={(source) => go(at(source.id))}
        loading={list.loading}
        error={list.error}
        retry={list.reload}
        empty={
          <Empty title="There is no ingest source yet">
            <p>
              <a href={href(at("new"))}>Create one</a> for GitHub, Stripe, or software of your own.
            </p>
          </Empty>
        }
      />
    </>
  );
}

function columnsOf(link: (source: Source) => string, rates: ReadonlyMap<string, number>): readonly Column<Source>[] {
  return [
    {
      key: "name",
      title: "Name",
      cell: (one) => (
        <div class="stack-none">
          <a href={link(one)}>{one.name || one.id}</a>
          <span class="hint">{wayOf(one.authentication).label}</span>
        </div>
      ),
      sort: (one) => one.name ?? one.id,
    },
    {
      key: "state",
      title: "State",
      cell: (one) => {
        const said = sourceState(one.status);
        return <Status tone={said.tone}>{said.word}</Status>;
      },
      sort: (one) => one.status,
    },
    {
      key: "events",
      title: "Events",
      cell: (one) => number(one.eventsReceived),
      sort: (one) => one.eventsReceived,
      align: "end",
    },
    {
      key: "rate",
      title: "Rate",
      cell: (one) => <Rate rate={rates.get(one.id)} />,
      sort: (one) => rates.get(one.id) ?? -1,
      align: "end",
      wide: true,
    },
    {
      key: "last",
      title: "Newest event",
      cell: (one) => <Time at={one.lastEventAt ?? null} />,
      sort: (one) => one.lastEventAt ?? null,
      wide: true,
    },
  ];
}

import { api, url } from "../../api";
import { consumerState } from "../../lib/delivery/state";
import { go, href } from "../../router";
import type { MapRef } from "../../session";
import { Empty, LinkButton, number, PageHead, Status, Table, Time, useResource, type Column } from "../../ui";
import { useAccess } from "../delivery/access";
import { mapWord, type Consumer } from "../delivery/types";
import { Rate } from "../delivery/Rate";
import { useRates } from "../delivery/useRates";

const EVERY = 3000;

export function ConsumerList({ map }: { map: MapRef }) {
  const { writeConsumers } = useAccess();
  const list = useResource(
    (signal) =>
      api.get<{ data: Consumer[] }>(url`/api/maps/${map.id}/consumers`, { signal }).then((answer) => answer.data),
    [map.id],
    EVERY,
  );
  const rates = useRates(list.data, (consumer) => [consumer.id, consumer.state.acknowledged ?? 0]);
  const at = (name: string) => ["maps", mapWord(map), "consumers", name];
  return (
    <>
      <PageHead
        title="Consumers"
        actions={
          writeConsumers && (
            <LinkButton kind="primary" icon="plus" href={href(at("+"))}>
              New consumer
            </LinkButton>
          )
        }
      >
        Each is a position in the map's events that the cluster keeps; its readers share the events and acknowledge
        them. <i>Behind</i> counts all events that it has yet to look at, chosen or not.
      </PageHead>
      <Table
        caption="Consumers"
        columns={columnsOf((consumer) => href(at(consumer.name)), rates)}
        rows={list.data}
        rowKey={(consumer) => consumer.id}
        onOpen={(consumer) => go(at(consumer.name))}
        loading={list.loading}
        error={list.error}
        retry={list.reload}
        empty={
          <Empty title="There is no consumer yet">
            {writeConsumers && (
              <p>
                <a href={href(at("+"))}>Create one</a> for workers that must not lose an event.
              </p>
            )}
          </Empty>
        }
      />
    </>
  );
}

function columnsOf(
  link: (consumer: Consumer) => string,
  rates: ReadonlyMap<string, number>,
): readonly Column<Consumer>[] {
  return [
    { key: "name", title: "Name", cell: (one) => <a href={link(one)}>{one.name}</a>, sort: (one) => one.name },
    {
      key: "state",
      title: "State",
      cell: (one) => <State consumer={one} />,
      sort: (one) => ["bad", "warn", "ok"].indexOf(consumerState(one.state, Date.now()).tone),
    },
    {
      key: "lag",
      title: "Behind",
      cell: (one) => number(one.state.lag ?? null),
      sort: (one) => one.state.lag ?? 0,
      align: "end",
    },
    {
      key: "oldest",
      title: "Oldest",
      cell: (one) => <Time at={one.state.oldest_at ?? null} />,
      sort: (one) => one.state.oldest_at ?? null,
      wide: true,
    },
    {
      key: "rate",
      title: "Reading rate",
      cell: (one) => <Rate rate={rates.get(one.id)} />,
      sort: (one) => rates.get(one.id) ?? -1,
      align: "end",
      wide: true,
    },
    {
      key: "dead",
      title: "Dead letters",
      cell: (one) => number(one.state.dead_letters ?? null),
      sort: (one) => one.state.dead_letters ?? 0,
      align: "end",
      wide: true,
    },
  ];
}

function State({ consumer }: { consumer: Consumer }) {
  const said = consumerState(consumer.state, Date.now());
  return (
    <div class="stack-none">
      <Status tone={said.tone}>{said.word}</Status>
      {said.why !== null && <span class="hint clip-lines">{said.why}</span>}
    </div>
  );
}

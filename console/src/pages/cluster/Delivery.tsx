import type { ClusterStatus } from "../../cluster";
import { troublesOf } from "../../lib/maps/standings";
import { href } from "../../router";
import { Facts, number, Section, Status, Table, Time, type Column } from "../../ui";
import { Standing } from "../maps/Standing";

type Told = NonNullable<ClusterStatus["delivery"]>;
type OfMap = Told["maps"][number];

/** How the webhooks and consumers of all maps stand, and where something is wrong or late. */
export function Delivery({ delivery, webhooks }: { delivery: Told | null; webhooks: number | null }) {
  return (
    <Section
      title="Webhooks and consumers"
      hint="Of all maps. What a map's receivers and readers do says nothing of the cluster itself."
      actions={<a href={href(["maps"])}>All maps</a>}
    >
      <div class="card">
        <Facts
          facts={
            delivery === null
              ? [["Webhooks", number(webhooks)]]
              : [
                  ["Webhooks", number(delivery.webhooks.total)],
                  ["Consumers", number(delivery.consumers.total)],
                  ["State", <Whole delivery={delivery} />],
                  ["Counted", <Time at={delivery.as_of} />],
                ]
          }
        />
      </div>
      {delivery !== null && delivery.maps.length > 0 && (
        <Table
          caption="Maps where something is wrong or late"
          rows={delivery.maps}
          rowKey={(map) => map.id}
          columns={COLUMNS}
          empty=""
        />
      )}
    </Section>
  );
}

function Whole({ delivery }: { delivery: Told }) {
  const troubles = troublesOf(delivery);
  if (troubles.length === 0) {
    const some = delivery.webhooks.total + delivery.consumers.total > 0;
    return some ? <Status tone="ok">all well</Status> : <span class="muted">there are none</span>;
  }
  return (
    <div class="stack-none">
      {troubles.map(({ text, tone }) => (
        <Status key={text} tone={tone}>
          {text}
        </Status>
      ))}
    </div>
  );
}

const COLUMNS: readonly Column<OfMap>[] = [
  {
    key: "map",
    title: "Map",
    cell: (map) => <a href={href(["maps", map.slug ?? map.id, "overview"])}>{map.slug ?? map.id}</a>,
  },
  {
    key: "state",
    title: "What is wrong or late",
    cell: (map) => <Standing map={map.slug ?? map.id} standings={map} />,
  },
  { key: "webhooks", title: "Webhooks", align: "end", wide: true, cell: (map) => number(map.webhooks.total) },
  { key: "consumers", title: "Consumers", align: "end", wide: true, cell: (map) => number(map.consumers.total) },
];

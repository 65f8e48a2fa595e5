import { useState } from "preact/hooks";
import { api, url } from "../../api";
import { shareText } from "../../lib/delivery/rates";
import { webhookState } from "../../lib/delivery/state";
import { go, href } from "../../router";
import type { MapRef } from "../../session";
import {
  Button,
  compact,
  Empty,
  LinkButton,
  number,
  PageHead,
  Status,
  Table,
  Time,
  useResource,
  type Column,
} from "../../ui";
import { useAccess } from "../delivery/access";
import { mapWord, type Webhook } from "../delivery/types";
import { Rate } from "../delivery/Rate";
import { useGrowth } from "../delivery/useGrowth";
import { useRates } from "../delivery/useRates";
import { PortalLinkButton } from "../portal/PortalLink";
import { Fire } from "./Fire";
import { targetText } from "./target";

const EVERY = 3000;

export function WebhookList({ map }: { map: MapRef }) {
  const access = useAccess();
  const [firing, setFiring] = useState(false);
  const list = useResource(
    (signal) =>
      api.get<{ data: Webhook[] }>(url`/api/maps/${map.id}/webhooks`, { signal }).then((answer) => answer.data),
    [map.id],
    EVERY,
  );
  const rates = useRates(list.data, (webhook) => [webhook.id, webhook.delivered ?? 0]);
  const growth = useGrowth(list.data, (webhook) => [webhook.id, webhook.queue_depth]);
  const at = (id: string) => ["maps", mapWord(map), "webhooks", id];
  return (
    <>
      <PageHead
        title="Webhooks"
        actions={
          <>
            {access.portal && <PortalLinkButton map={map} />}
            {access.publish && <Button onClick={() => setFiring(true)}>Fire an event</Button>}
            {access.writeWebhooks && (
              <LinkButton kind="primary" icon="plus" href={href(at("new"))}>
                New webhook
              </LinkButton>
            )}
          </>
        }
      >
        Each posts the events of the map that it chooses to a URL. <i>Behind</i> counts all events that it has yet to
        look at, chosen or not.
      </PageHead>
      <Table
        caption="Webhooks"
        columns={columnsOf((webhook) => href(at(webhook.id)), rates, growth)}
        rows={list.data}
        rowKey={(webhook) => webhook.id}
        onOpen={(webhook) => go(at(webhook.id))}
        loading={list.loading}
        error={list.error}
        retry={list.reload}
        empty={
          <Empty title="There is no webhook yet">
            {access.writeWebhooks && (
              <p>
                <a href={href(at("new"))}>Create one</a>: it gets the events that are published from then on.
              </p>
            )}
          </Empty>
        }
      />
      {firing && <Fire map={map} close={() => setFiring(false)} />}
    </>
  );
}

const ORDER: Readonly<Record<string, number>> = {
  losing: 0,
  disabled: 1,
  failing: 2,
  throttled: 3,
  behind: 4,
  paused: 5,
  healthy: 6,
};

function columnsOf(
  link: (webhook: Webhook) => string,
  rates: ReadonlyMap<string, number>,
  growth: (id: string) => number | null,
): readonly Column<Webhook>[] {
  return [
    {
      key: "name",
      title: "Name",
      cell: (one) => (
        <div class="stack-none">
          <a href={link(one)}>{one.name || "(no name)"}</a>
          <span class="hint clip">{targetText(one)}</span>
        </div>
      ),
      sort: (one) => one.name,
    },
    {
      key: "state",
      title: "State",
      cell: (one) => <State webhook={one} growth={growth(one.id)} />,
      sort: (one) => ORDER[one.state] ?? 9,
    },
    {
      key: "left",
      title: "Behind",
      cell: (one) => <Behind webhook={one} />,
      sort: (one) => one.queue_depth,
      align: "end",
    },
    {
      key: "rate",
      title: "Delivery rate",
      cell: (one) => <Rate rate={rates.get(one.id)} />,
      sort: (one) => rates.get(one.id) ?? -1,
      align: "end",
      wide: true,
    },
    {
      key: "success",
      title: "Success",
      cell: (one) => shareText(one.success_rate),
      sort: (one) => one.success_rate ?? null,
      align: "end",
      wide: true,
    },
    {
      key: "dead",
      title: "Dead letters",
      cell: (one) => number(one.dead_letters),
      sort: (one) => one.dead_letters,
      align: "end",
      wide: true,
    },
    {
      key: "last",
      title: "Last delivery",
      cell: (one) => <Time at={one.last_delivery_at ?? null} />,
      sort: (one) => one.last_delivery_at ?? null,
      wide: true,
    },
  ];
}

/** The state in a word, and why in a sentence. */
function State({ webhook, growth }: { webhook: Webhook; growth: number | null }) {
  const said = webhookState(webhook, Date.now(), growth);
  return (
    <div class="stack-none">
      <Status tone={said.tone}>{said.word}</Status>
      {said.why !== null && <span class="hint clip-lines">{said.why}</span>}
    </div>
  );
}

function Behind({ webhook }: { webhook: Webhook }) {
  if (webhook.queue_depth === 0) return <>0</>;
  return (
    <div class="stack-none">
      <span title={number(webhook.queue_depth)}>{compact(webhook.queue_depth)}</span>
      <span class="hint">
        <Time at={webhook.oldest_at ?? null} />
      </span>
    </div>
  );
}

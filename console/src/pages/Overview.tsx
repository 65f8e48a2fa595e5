import type { ComponentChildren } from "preact";
import { api, url, type Schemas } from "../api";
import { troublesOf } from "../lib/maps/standings";
import { counted } from "../lib/words";
import { readMapNow } from "../maps";
import { href } from "../router";
import { can, isAdmin, scopesHere } from "../session";
import {
  bytes,
  Chart,
  Code,
  Facts,
  Fault,
  Loading,
  Note,
  number,
  PageHead,
  Section,
  shell,
  Tabs,
  Time,
  useResource,
} from "../ui";
import { useState } from "preact/hooks";
import { keeps } from "./Maps";
import { Standing } from "./maps/Standing";
import type { MapPage } from "./props";
import { filled, type Period } from "./usage/model";

/** What a map is, what happens in it, and how a program uses it. */
export function Overview({ map }: MapPage) {
  return (
    <>
      <PageHead title={map.name ?? map.slug}>{map.name === null ? "A map of this cluster." : map.slug}</PageHead>
      {can("manage") ? <Managed id={map.id} slug={map.slug} /> : <Own id={map.id} />}
      <FirstSteps map={map.slug} />
    </>
  );
}

/** For a token that may not manage its map. */
function Own({ id }: { id: string }) {
  return (
    <div class="card">
      <Facts
        facts={[
          ["Id", <code>{id}</code>],
          ["Your token may", scopesHere().join(", ")],
        ]}
      />
    </div>
  );
}

/** How often what goes on in the map is read again, in milliseconds. */
const EVERY = 5000;

function Managed({ id, slug }: { id: string; slug: string }) {
  const found = useResource((signal) => readMapNow(id, signal), [id], EVERY);
  const map = found.data ?? undefined;
  if (map === undefined)
    return found.error === undefined ? <Loading /> : <Fault error={found.error} retry={found.reload} />;
  const limit = (name: keyof Schemas["Limits"]) => map.limits[name] ?? null;
  const facts: [string, ComponentChildren][] = [
    ["Id", <code>{map.id}</code>],
    ["Keeps", keeps(map.retention)],
    ["Publishes a second", limit("publishes_per_second") === null ? "no limit" : number(limit("publishes_per_second"))],
    ["Created", <Time at={map.inserted_at} />],
    ["Changed", <Time at={map.updated_at} />],
  ];
  return (
    <>
      <Now map={map} slug={slug} />
      <div class="card">
        <Facts facts={facts} />
        <p class="row">
          <a href={href(["maps", slug, "settings"])}>Settings</a>
          <a href={href(["maps", slug, "tokens"])}>Tokens</a>
          <a href={href(["maps", slug, "connections"])}>Connections</a>
        </p>
      </div>
      <Hours id={id} slug={slug} />
    </>
  );
}

/** What goes on in the map: what is wrong comes first. */
function Now({ map, slug }: { map: Schemas["Map"]; slug: string }) {
  const now = map.now ?? null;
  const troubles = now === null ? [] : troublesOf(now);
  const most = map.limits.connections ?? null;
  const to = (page: string, text: string) => <a href={href(["maps", slug, page])}>{text}</a>;
  const total = (of: { total: number } | null | undefined) => (of == null ? "–" : number(of.total));
  return (
    <Section title="Now">
      {troubles.map((trouble) => (
        <Note key={trouble.text} tone={trouble.tone}>
          <p>
            {trouble.text}: {to(trouble.of, `see the ${trouble.of}`)}
          </p>
        </Note>
      ))}
      <div class="card">
        <Facts
          facts={[
            [
              "Connections",
              <>
                {to("connections", number(now?.connections))}
                {most === null ? "" : ` of ${number(most)} at most`}
              </>,
            ],
            [
              "Stored",
              map.stored === undefined ? "–" : `${counted(map.stored.events, "event")}, ${bytes(map.stored.bytes)}`,
            ],
            ["Webhooks", to("webhooks", total(now?.webhooks))],
            ["Consumers", to("consumers", total(now?.consumers))],
            ...(troubles.length === 0 ? [["State", <Standing map={slug} standings={now} />] as const] : []),
          ]}
        />
      </div>
    </Section>
  );
}

/** The last day, hour by hour. */
function Hours({ id, slug }: { id: string; slug: string }) {
  const usage = useResource(
    (signal) => api.get<{ data: { periods: Period[] } }>(url`/api/maps/${id}/usage`, { query: { by: "hour" }, signal }),
    [id],
    60_000,
  );
  const periods = usage.data && filled(usage.data.data.periods, "hour").slice(-24);
  return (
    <Section title="The last 24 hours" actions={<a href={href(["maps", slug, "usage"])}>All usage</a>}>
      <div class="card">
        <Fault error={usage.error} retry={usage.reload} />
        {periods === undefined && usage.error === undefined && <Loading />}
        {periods !== undefined && (
          <Chart
            title="Events and deliveries by hour"
            kind="line"
            times={periods.map((one) => Date.parse(one.from))}
            series={[
              { label: "Events", values: periods.map((one) => one.events) },
              { label: "Deliveries", values: periods.map((one) => one.deliveries) },
              { label: "Failed attempts", values: periods.map((one) => one.failed_attempts), bad: true },
            ]}
          />
        )}
      </div>
    </Section>
  );
}

type How = "command" | "curl" | "tail";

/** How a program publishes and reads. */
function FirstSteps({ map }: { map: string }) {
  const [how, setHow] = useState<How>("command");
  const at = `export WAYPOST_URL=${location.origin}\nexport WAYPOST_TOKEN=…   # a token of this map${isAdmin() ? ", from the page Tokens and issuers" : ""}\n`;
  const text: Record<How, string> = {
    command: `${at}waypost publish ${shell(map)} order_paid '{"order": 7}'`,
    curl:
      `${at}curl -sS "$WAYPOST_URL/api/maps/${encodeURIComponent(map)}/events" \\\n` +
      `  -H "Authorization: Bearer $WAYPOST_TOKEN" -H "Content-Type: application/json" \\\n` +
      `  -d '{"type": "order_paid", "payload": {"order": 7}}'`,
    tail: `${at}waypost tail ${shell(map)}`,
  };
  return (
    <Section title="From a program" hint={<a href="/docs/tutorial/first-event.html">The tutorial says more.</a>}>
      <Tabs<How>
        label="How"
        current={how}
        onChange={setHow}
        tabs={[
          { key: "command", title: "Publish" },
          { key: "curl", title: "Publish with curl" },
          { key: "tail", title: "Follow" },
        ]}
      >
        <Code text={text[how]} label="Commands" />
      </Tabs>
    </Section>
  );
}

// What a map used, by hour and by day.
import type { ComponentChildren } from "preact";
import { useMemo } from "preact/hooks";
import { api, url } from "../api";
import { counted } from "../lib/words";
import { href, route } from "../router";
import {
  bytes,
  Bytes,
  Card,
  Chart,
  Command,
  compact,
  CopyButton,
  Empty,
  Fault,
  LinkTabs,
  Loading,
  Num,
  number,
  PageHead,
  Section,
  shell,
  Table,
  useResource,
  type Column,
} from "../ui";
import type { MapPage } from "./props";
import { csvOf, filled, periodText, shareText, totalsOf, type By, type Period } from "./usage/model";

/** Nodes report once a minute. */
const AGAIN_MS = 60_000;

export function Usage({ map }: MapPage) {
  const by: By = route.value.query.get("by") === "day" ? "day" : "hour";
  const { data, error, reload } = useResource(
    (signal) => api.get<{ data: { periods: Period[] } }>(url`/api/maps/${map.id}/usage`, { query: { by }, signal }),
    [map.id, by],
    AGAIN_MS,
  );
  const tab = (of: By, title: string) => ({
    href: href(["maps", map.slug, "usage"], { by: of }),
    title,
    current: by === of,
  });
  const periods = data?.data.periods;
  return (
    <>
      <PageHead title="Usage">What was published to {map.name ?? map.slug}, and what was delivered.</PageHead>
      <LinkTabs label="Length of a period" tabs={[tab("hour", "By hour"), tab("day", "By day")]} />
      <Fault error={error} retry={reload} />
      {periods === undefined ? error === undefined && <Loading /> : <Shown periods={periods} by={by} />}
      <Command line={`waypost map usage ${shell(map.slug)}${by === "day" ? " --by day" : ""}`} />
    </>
  );
}

function Shown({ periods, by }: { periods: readonly Period[]; by: By }) {
  if (periods.length === 0) return <Empty title="Nothing was counted yet" />;
  return (
    <>
      <Totals periods={periods} by={by} />
      <Charts periods={periods} by={by} />
      <Section
        title={by === "hour" ? "Each hour" : "Each day"}
        actions={
          <span class="row">
            <span class="hint">as CSV</span>
            <CopyButton text={csvOf(periods)} label="Copy the table as CSV" />
          </span>
        }
        hint={
          by === "hour"
            ? "The newest first, in your time zone. The newest is not over yet."
            : "The newest first. Days are counted in UTC. The newest is not over yet."
        }
      >
        <Periods periods={periods} by={by} />
      </Section>
    </>
  );
}

function Totals({ periods, by }: { periods: readonly Period[]; by: By }) {
  const totals = totalsOf(periods);
  return (
    <Section
      title={`In ${counted(periods.length, by)}`}
      hint="Deliveries and attempts appear up to a minute after they were made; what a node has not told by then is lost if it is killed. Attempts are those of all webhooks of the map, tests included; a webhook's own page counts its own, without tests."
    >
      <div class="grid totals">
        <Total name="Events stored" value={number(totals.events)} more={bytes(totals.event_bytes)} />
        <Total name="Deliveries to clients" value={number(totals.deliveries)} more={bytes(totals.delivery_bytes)} />
        <Total name="Webhook attempts" value={number(totals.attempts)} more="tests included" />
        <Total
          name="Failed attempts"
          value={number(totals.failed_attempts)}
          more={
            totals.attempts === 0 ? "of none" : `${shareText(totals.failed_attempts, totals.attempts)} of the attempts`
          }
        />
      </div>
    </Section>
  );
}

function Total({ name, value, more }: { name: string; value: string; more: ComponentChildren }) {
  return (
    <Card>
      <p class="muted">{name}</p>
      <p class="total num">{value}</p>
      <p class="muted num">{more}</p>
    </Card>
  );
}

function Charts({ periods, by }: { periods: readonly Period[]; by: By }) {
  const days = by === "day";
  // The charts draw again only when there is something new.
  const drawn = useMemo(() => {
    const shown = filled(periods, by);
    const series = (label: string, of: keyof Omit<Period, "from">) => ({
      label,
      values: shown.map((one) => one[of]),
    });
    return {
      times: shown.map((one) => Date.parse(one.from)),
      events: [series("Events", "events")],
      deliveries: [series("Deliveries", "deliveries")],
      sizes: [series("Published", "event_bytes"), series("Delivered", "delivery_bytes")],
      attempts: [series("Attempts", "attempts"), { ...series("Failed", "failed_attempts"), bad: true }],
    };
  }, [periods, by]);
  return (
    <div class="halves">
      <Chart title="Events stored" times={drawn.times} days={days} series={drawn.events} kind="bars" format={compact} />
      <Chart
        title="Deliveries to clients"
        times={drawn.times}
        days={days}
        series={drawn.deliveries}
        kind="bars"
        format={compact}
      />
      <Chart title="Bytes" times={drawn.times} days={days} series={drawn.sizes} format={bytes} />
      <Chart title="Webhook attempts" times={drawn.times} days={days} series={drawn.attempts} format={compact} />
    </div>
  );
}

function Periods({ periods, by }: { periods: readonly Period[]; by: By }) {
  const columns: Column<Period>[] = [
    {
      key: "from",
      title: by === "hour" ? "Hour" : "Day",
      cell: (one) => periodText(one.from, by),
      sort: (one) => one.from,
    },
    {
      key: "events",
      title: "Events",
      cell: (one) => <Num value={one.events} />,
      sort: (one) => one.events,
      align: "end",
    },
    {
      key: "event_bytes",
      title: "Published",
      cell: (one) => <Bytes value={one.event_bytes} />,
      sort: (one) => one.event_bytes,
      align: "end",
      wide: true,
    },
    {
      key: "deliveries",
      title: "Deliveries",
      cell: (one) => <Num value={one.deliveries} />,
      sort: (one) => one.deliveries,
      align: "end",
    },
    {
      key: "delivery_bytes",
      title: "Delivered",
      cell: (one) => <Bytes value={one.delivery_bytes} />,
      sort: (one) => one.delivery_bytes,
      align: "end",
      wide: true,
    },
    {
      key: "attempts",
      title: "Attempts",
      cell: (one) => <Num value={one.attempts} />,
      sort: (one) => one.attempts,
      align: "end",
    },
    {
      key: "failed",
      title: "Failed",
      cell: (one) => <Num value={one.failed_attempts} />,
      sort: (one) => one.failed_attempts,
      align: "end",
    },
  ];
  return (
    <Table
      caption={by === "hour" ? "Usage by hour" : "Usage by day"}
      columns={columns}
      rows={[...periods].reverse()}
      rowKey={(one) => one.from}
      empty="Nothing was counted yet"
    />
  );
}

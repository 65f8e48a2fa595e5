import { lost } from "../../api";
import { called, type ClusterStatus, type Member } from "../../cluster";
import { href, route, setQuery } from "../../router";
import { bytes, duration, number, Status, Table, type Column, type Tone } from "../../ui";
import { hasCrashed } from "./health";
import { NodeDetail, showDetail } from "./NodeDetail";

const TONES: Record<Member["state"], Tone> = { up: "ok", draining: "warn", drained: "off", unreachable: "bad" };

/** The nodes, and the one that is chosen. */
export function Nodes({ status }: { status: ClusterStatus }) {
  const chosen = route.value.query.get("node");
  const node = status.members.find((member) => String(member.id) === chosen);
  return (
    <>
      <Table
        caption="Nodes"
        columns={columns(status)}
        rows={status.members}
        rowKey={(member) => String(member.id)}
        selected={chosen}
        onOpen={(member) => setQuery({ node: chosen === String(member.id) ? null : String(member.id) })}
        empty="The cluster has no members yet."
      />
      {node !== undefined && <NodeDetail key={node.id} node={node} status={status} />}
    </>
  );
}

/** What a node is to the consensus, in a word. */
export function roleOf(member: Member): string {
  if (member.role === "leader") return "leader";
  return member.voter === false ? "learner" : member.role;
}

export function stateOf(member: Member) {
  // While the asked node gives no answer, this is how it was.
  if (lost.value !== null) return <Status tone="off">{`was ${member.state}`}</Status>;
  const by = member.reachable || member.state === "unreachable" ? "" : ", by another node";
  return <Status tone={TONES[member.state]}>{member.state + by}</Status>;
}

/** How long a node's process has run, and that the one before it crashed. */
export function upFor(member: Member) {
  if (!hasCrashed(member)) return <>{duration(member.uptime_ms)}</>;
  return (
    <div class="stack-none">
      <span>{duration(member.uptime_ms)}</span>
      <Status tone="warn">after a crash</Status>
    </div>
  );
}

function columns(status: ClusterStatus): Column<Member>[] {
  return [
    {
      key: "node",
      title: "Node",
      sort: called,
      cell: (member) => (
        <>
          <a href={href(["cluster"], { node: member.id })} data-node={member.id} onClick={() => showDetail()}>
            {called(member)}
          </a>
          {member.id === status.node_id && <span class="muted"> (asked)</span>}
        </>
      ),
    },
    { key: "state", title: "State", sort: (member) => member.state, cell: stateCell },
    {
      key: "role",
      title: "Role",
      sort: roleOf,
      cell: (member) => (member.role === "leader" ? <strong>leader</strong> : roleOf(member)),
    },
    {
      key: "lag",
      title: "Lag",
      align: "end",
      sort: (member) => member.lag ?? null,
      cell: (member) => number(member.lag),
    },
    {
      key: "connections",
      title: "Connections",
      align: "end",
      wide: true,
      sort: (member) => member.connections ?? null,
      cell: (member) => number(member.connections),
    },
    {
      key: "webhooks",
      title: "Webhooks",
      align: "end",
      wide: true,
      sort: (member) => member.webhooks ?? null,
      cell: (member) => number(member.webhooks),
    },
    {
      key: "disk",
      title: "Disk free",
      align: "end",
      sort: (member) => member.disk_free_bytes ?? null,
      cell: (member) => <Disk member={member} />,
    },
    {
      key: "clock",
      title: "Clock",
      align: "end",
      wide: true,
      sort: (member) => Math.abs(member.clock_ms ?? 0),
      cell: (member) => offset(member.clock_ms),
    },
    { key: "version", title: "Release", wide: true, cell: (member) => member.version ?? "–" },
    {
      key: "uptime",
      title: "Up for",
      align: "end",
      wide: true,
      sort: (member) => member.uptime_ms ?? null,
      cell: (member) => duration(member.uptime_ms),
    },
  ];
}

/** The state, and how long ago a crash was if that is news. */
function stateCell(member: Member) {
  if (!hasCrashed(member)) return stateOf(member);
  return (
    <div class="stack-none">
      {stateOf(member)}
      <span class="hint">started {duration(member.uptime_ms)} ago, after a crash</span>
    </div>
  );
}

function Disk({ member }: { member: Member }) {
  const { disk_free_bytes: free, disk_total_bytes: total } = member;
  const share = typeof free === "number" && typeof total === "number" && total > 0 ? (100 * free) / total : null;
  const title = `${bytes(member.disk_used_bytes)} used by this node`;
  if (member.disk_full === true) return <Status tone="bad">full</Status>;
  return (
    <span title={title}>
      {bytes(free)}
      {share !== null && <span class="muted"> ({Math.round(share)} %)</span>}
      {member.disk_slow === true && <Status tone="warn">slow</Status>}
    </span>
  );
}

/** How a clock differs: +12 ms. */
export function offset(milliseconds: number | null | undefined): string {
  if (milliseconds === null || milliseconds === undefined) return "–";
  return milliseconds > 0 ? `+${duration(milliseconds)}` : duration(milliseconds);
}

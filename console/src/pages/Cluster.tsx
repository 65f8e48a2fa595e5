import { lost } from "../api";
import { called, cluster, clusterAt, clusterError, EVERY, samples } from "../cluster";
import { span } from "../lib/delivery/state";
import { Chart, Facts, Fault, Loading, number, PageHead, Section, Status, Time, useTick } from "../ui";
import { AddNode } from "./cluster/AddNode";
import { ClusterTokens } from "./cluster/ClusterTokens";
import { Delivery } from "./cluster/Delivery";
import { healthOf, unknownHealth, type Health } from "./cluster/health";
import { Nodes } from "./cluster/Nodes";
import { OperatorEvents } from "./cluster/OperatorEvents";
import { Problems } from "./cluster/Problems";

/** The nodes, what is wrong with them and what can be done. */
export function Cluster() {
  const status = cluster.value;
  const gone = lost.value;
  useTick(gone === null ? null : 1000);
  if (status === null) {
    return (
      <>
        <PageHead title="Cluster" />
        {clusterError.value === null ? <Loading /> : <Fault error={clusterError.value} />}
      </>
    );
  }
  const now = Date.now();
  // What was true when the node last answered need not be true now.
  const health = gone === null ? healthOf(status) : unknownHealth(gone.since, now);
  const was = gone === null ? "" : "was ";
  const voters = status.members.filter((member) => member.voter);
  const up = status.members.filter((member) => member.state === "up");
  const leader = status.members.find((member) => member.id === status.leader_id);
  const releases = [...new Set(status.members.map((member) => member.version).filter(Boolean))];
  return (
    <>
      <PageHead title="Cluster" actions={<AddNode />}>
        {gone === null
          ? `As ${called({ id: status.node_id, name: status.node_name })} sees it, every ${EVERY / 1000} seconds.`
          : `As ${called({ id: status.node_id, name: status.node_name })} saw it ${span(now - (clusterAt.value ?? now))} ago.`}
      </PageHead>
      <Fault error={clusterError.value} />
      <div class="card">
        <Facts
          facts={[
            ["State", <State health={health} />],
            ["Leader", leader === undefined ? <Status tone="bad">none</Status> : `${was}${called(leader)}`],
            ["Nodes up", `${was}${up.length} of ${status.members.length}`],
            ["Votes", status.changing === true ? `${voters.length}, being changed` : String(voters.length)],
            ["Release", releases.length === 0 ? "–" : releases.join(", ")],
            ["Committed", number(status.committed_index)],
            ["Term", number(status.term)],
            ["Time of the cluster", <Time at={status.time} exact />],
          ]}
        />
      </div>
      <Problems status={status} />
      <Section title="Nodes" hint="Choose a node to see more of it, and to drain it, make it the leader or remove it.">
        <Nodes status={status} />
      </Section>
      <Delivery delivery={status.delivery ?? null} webhooks={status.webhooks ?? null} />
      <OperatorEvents />
      <Section title="Load">
        <div class="card">
          <Commits />
        </div>
      </Section>
      <ClusterTokens />
    </>
  );
}

function State({ health }: { health: Health }) {
  return (
    <div class="stack-none">
      <Status tone={health.tone}>{health.word}</Status>
      {health.why !== null && <span class="hint">{health.why}</span>}
    </div>
  );
}

/** What the cluster commits in a second, since this page was opened. */
function Commits() {
  const all = samples.value;
  const rates = all.slice(1).map((now, i) => {
    const before = all[i] ?? now;
    return Math.max(0, (now.committed - before.committed) / Math.max(0.001, (now.at - before.at) / 1000));
  });
  const times = all.slice(1).map((sample) => sample.at);
  if (times.length < 2) return <p class="muted">The first values come in a few seconds.</p>;
  return (
    <Chart
      title="Log entries committed per second"
      times={times}
      series={[{ label: "Entries", values: rates }]}
      format={(value) => (value < 10 ? value.toFixed(1) : number(value))}
    />
  );
}

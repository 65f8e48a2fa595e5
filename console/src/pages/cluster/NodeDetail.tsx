import { useEffect } from "preact/hooks";
import { called, type ClusterStatus, type Member } from "../../cluster";
import { setQuery } from "../../router";
import { bytes, Button, duration, Facts, number, Status, Time } from "../../ui";
import { NodeActions } from "./NodeActions";
import { offset, roleOf, stateOf, upFor } from "./Nodes";

const DETAIL = "node-detail";

/** Brings the details of the chosen node into view, once they stand there. */
export function showDetail(): void {
  requestAnimationFrame(() => {
    const title = document.getElementById(DETAIL);
    title?.focus({ preventScroll: true });
    title?.closest("section")?.scrollIntoView({ block: "start" });
  });
}

/** Everything that is known of a node. */
export function NodeDetail({ node, status }: { node: Member; status: ClusterStatus }) {
  const asked = node.id === status.node_id;
  // They stand below the table, mostly out of sight.
  useEffect(showDetail, [node.id]);
  const close = () => {
    setQuery({ node: null });
    document.querySelector<HTMLElement>(`#main a[data-node="${node.id}"]`)?.focus();
  };
  return (
    <section class="card node-detail" aria-label={called(node)}>
      <div class="section-head">
        <h3 id={DETAIL} tabIndex={-1}>
          {called(node)}
        </h3>
        <Button kind="quiet" small icon="close" label="Close" onClick={close} />
      </div>
      <Facts
        facts={[
          ["Id", String(node.id)],
          ["State", stateOf(node)],
          ["Role", node.stays_learner === true ? `${roleOf(node)}, stays one` : roleOf(node)],
          ["Peer address", <code>{node.peer_addr}</code>],
          ["Client address", <code>{node.http_addr ?? "–"}</code>],
          ["Last heard", node.seen_ms === null || node.seen_ms === undefined ? "–" : `${duration(node.seen_ms)} ago`],
          ["Lag, entries", number(node.lag)],
          ["Applied", number(node.applied_index)],
          ["Log", bytes(node.log_bytes)],
          ["State made durable", node.snapshot_age_ms == null ? "–" : `${duration(node.snapshot_age_ms)} ago`],
          ["Disk", diskText(node)],
          ["Data directory", bytes(node.disk_used_bytes)],
          ["Clock against the asked node's", offset(node.clock_ms)],
          ["Release", node.version ?? "–"],
          ["Up for", upFor(node)],
          ["Connections", number(node.connections)],
          ["Topics", number(node.topics)],
          ["Webhooks", number(node.webhooks)],
          ["Ephemeral events dropped", number(node.ephemeral_dropped)],
          ["Identity", <code>{node.identity ?? "–"}</code>],
          ...certificates(asked ? status : null),
        ]}
      />
      <Reaches node={node} />
      <NodeActions node={node} status={status} />
    </section>
  );
}

/** How much of the disk is free. A node that does not answer tells nothing. */
function diskText({ disk_free_bytes: free, disk_total_bytes: total }: Member): string {
  return free == null || total == null ? "–" : `${bytes(free)} free of ${bytes(total)}`;
}

/** A node tells of its own certificates alone. */
function certificates(status: ClusterStatus | null) {
  if (status === null) return [["Certificates", "ask this node itself"] as const];
  return [
    ["Between nodes", (status.peer_security ?? "–").replaceAll("_", " ")] as const,
    ["Certificate for nodes ends", <Seconds at={status.peer_certificate_until} />] as const,
    ["Certificate for clients ends", <Seconds at={status.http_certificate_until} />] as const,
  ];
}

function Seconds({ at }: { at: number | null | undefined }) {
  return at == null ? <span class="muted">it shows none</span> : <Time at={at * 1000} />;
}

/** Which other nodes it reaches over their peer ports. */
function Reaches({ node }: { node: Member }) {
  const reaches = node.reaches ?? [];
  if (reaches.length === 0) return null;
  return (
    <div class="stack-tight">
      <h3>Reaches</h3>
      <div class="row">
        {reaches.map((one) => (
          <Status key={one.node} tone={one.reached ? "ok" : "bad"}>
            {called({ id: one.node, name: one.node_name })}
            {one.reached ? "" : `: ${(one.error ?? "no answer").replaceAll("_", " ")}`}, for {duration(one.for_ms)}
          </Status>
        ))}
      </div>
    </div>
  );
}

import { lost } from "../api";
import { called, cluster } from "../cluster";
import { route } from "../router";
import { duration, Icon, useTick } from "../ui";

/** After so long without an answer, other nodes are named, in milliseconds. */
const LONG = 5000;

/** Says that the node gives no answer, and where else the console is. */
export function LostBanner() {
  const now = lost.value;
  useTick(now === null ? null : 500);
  const shown = now !== null;
  return (
    <div role="status" aria-live="polite">
      {shown && (
        <div class="banner">
          <Icon name="alert" />
          <strong>Connection lost, trying again.</strong>
          <span aria-hidden="true">
            No answer from {location.host} for {duration(Math.max(1000, Date.now() - now.since))}.
          </span>
          {Date.now() - now.since > LONG && <Others />}
        </div>
      )}
    </div>
  );
}

/** The consoles of the other nodes that were up. */
function Others() {
  const status = cluster.value;
  const others = (status?.members ?? []).filter((one) => one.id !== status?.node_id && one.http_addr && one.reachable);
  const here = `/console/#/${route.value.path.map(encodeURIComponent).join("/")}`;
  if (others.length === 0) return <span>If it stays away, open the console at another node: it shows the same.</span>;
  return (
    <span>
      The console of another node shows the same:{" "}
      {others.map((node, i) => (
        <span key={node.id}>
          {i > 0 && ", "}
          <a href={`${location.protocol}//${node.http_addr}${here}`}>
            {called(node)} at {node.http_addr}
          </a>
        </span>
      ))}
    </span>
  );
}

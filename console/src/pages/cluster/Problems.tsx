import { lost } from "../../api";
import { called, type ClusterStatus, type Problem } from "../../cluster";
import { counted } from "../../lib/words";
import { href } from "../../router";
import { Badge, Button, Section, Status } from "../../ui";
import { operationIn, toneOf, wordOf, worstFirst } from "./health";
import { offered } from "./NodeActions";
import { showDetail } from "./NodeDetail";

/** The runbook of problems whose text names none. */
const RUNBOOKS: Record<string, string> = {
  no_majority: "lost-majority",
  none_serves: "lost-majority",
  unreachable: "lost-node",
  half_reachable: "half-open-firewall",
  cut_off: "half-open-firewall",
  disk_full: "full-disk",
  disk_low: "full-disk",
  disk_slow: "slow-disk",
  node_failed: "damaged-disk",
  was_damaged: "damaged-disk",
  versions_differ: "upgrade",
  settings_differ: "upgrade",
  certificate_ends: "certificates",
  single_node: "scaling",
  single_voter: "scaling",
  even_voters: "scaling",
  id_claimed_twice: "two-processes",
  clocks_apart: "clock",
  clocks_disagree: "clock",
  clock_jumped: "clock",
  expiry_held: "clock",
  ids_ahead: "clock",
  webhooks_losing: "webhooks",
  webhooks_failing: "webhooks",
  lag: "slow-node",
  stuck: "slow-node",
  cannot_catch_up: "slow-node",
};

/** What is wrong, the worst first, with what to do about it. */
export function Problems({ status }: { status: ClusterStatus }) {
  const { problems } = status;
  if (problems.length === 0) {
    return lost.value === null ? (
      <Status tone="ok">No problems are known</Status>
    ) : (
      <Status tone="off">No problems were known</Status>
    );
  }
  return (
    <Section title={counted(problems.length, "problem")}>
      {worstFirst(problems).map((problem, i) => (
        <One key={`${problem.code}-${problem.node ?? ""}-${i}`} problem={problem} status={status} />
      ))}
    </Section>
  );
}

function One({ problem, status }: { problem: Problem; status: ClusterStatus }) {
  const runbook = /docs\/runbooks\/([a-z-]+)\.md/.exec(problem.do)?.[1] ?? RUNBOOKS[problem.code];
  const tone = toneOf(problem);
  return (
    <article class={`note tone-${tone}`}>
      <div>
        <p class="row">
          <Status tone={tone}>{wordOf(problem)}</Status>
          <code>{problem.code}</code>
          {problem.node !== null && (
            <a href={href(["cluster"], { node: problem.node })} onClick={() => showDetail()}>
              {problem.node_name ?? `node ${problem.node}`}
            </a>
          )}
        </p>
        <p>{sentence(problem.what)}</p>
        {problem.do !== "" && (
          <p>
            <Badge>What to do</Badge> {sentence(problem.do.replace(/[,:]? (see )?docs\/runbooks\/[a-z-]+\.md/, ""))}
          </p>
        )}
        <Here problem={problem} status={status} />
        {runbook !== undefined && (
          <a href={`/docs/runbooks/${runbook}.html`} target="_blank" rel="noopener">
            Runbook: {runbook.replaceAll("-", " ")}
          </a>
        )}
      </div>
    </article>
  );
}

/** The button that does what the advice names a command for. */
function Here({ problem, status }: { problem: Problem; status: ClusterStatus }) {
  const node = status.members.find((member) => member.id === problem.node);
  const operation = operationIn(problem.do);
  const does = node === undefined || operation === null ? null : offered(operation, node, status);
  if (node === undefined || does === null) return null;
  return (
    <p>
      <Button small kind={does.danger ? "danger" : "plain"} onClick={does.ask}>
        {`${does.title} ${called(node)}`}
      </Button>
    </p>
  );
}

function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

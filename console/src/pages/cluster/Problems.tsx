import type { Problem } from "../../cluster";
import { counted } from "../../lib/words";
import { href } from "../../router";
import { Badge, Section, Status } from "../../ui";
import { toneOf, worstFirst } from "./health";

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
export function Problems({ problems }: { problems: readonly Problem[] }) {
  if (problems.length === 0) return <Status tone="ok">No problems are known</Status>;
  return (
    <Section title={counted(problems.length, "problem")}>
      {worstFirst(problems).map((problem, i) => (
        <One key={`${problem.code}-${problem.node ?? ""}-${i}`} problem={problem} />
      ))}
    </Section>
  );
}

function One({ problem }: { problem: Problem }) {
  const runbook = /docs\/runbooks\/([a-z-]+)\.md/.exec(problem.do)?.[1] ?? RUNBOOKS[problem.code];
  const tone = toneOf(problem);
  return (
    <article class={`note tone-${tone}`}>
      <div>
        <p class="row">
          <Status tone={tone}>{problem.severity}</Status>
          <code>{problem.code}</code>
          {problem.node !== null && (
            <a href={href(["cluster"], { node: problem.node })}>{problem.node_name ?? `node ${problem.node}`}</a>
          )}
        </p>
        <p>{sentence(problem.what)}</p>
        {problem.do !== "" && (
          <p>
            <Badge>What to do</Badge> {sentence(problem.do.replace(/[,:]? (see )?docs\/runbooks\/[a-z-]+\.md/, ""))}
          </p>
        )}
        {runbook !== undefined && (
          <a href={`/docs/runbooks/${runbook}.html`} target="_blank" rel="noopener">
            Runbook: {runbook.replaceAll("-", " ")}
          </a>
        )}
      </div>
    </article>
  );
}

function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : `${begun}.`;
}

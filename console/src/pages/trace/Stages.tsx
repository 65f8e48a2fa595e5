import { durationText } from "../../lib/history/time";
import { Empty, Section, Status } from "../../ui";
import { stagesOf, type Stage, type Trace } from "./model";

/** The way of the event in short: its stages, and how long each took. */
export function Stages({ trace }: { trace: Trace }) {
  const stages = stagesOf(trace);
  if (stages.length === 0) return <Empty title="No step is known" />;
  return (
    <Section title="Stages">
      <ol class="stages">
        {stages.map((stage) => (
          <li key={stage.key} class={`stage stage-${stage.tone}`}>
            <Status tone={stage.tone}>
              <b>{stage.title}</b>
            </Status>
            <span>{stage.text}</span>
            <span class="muted num">
              {[tookText(stage), stage.until === null ? null : `at ${durationText(stage.until)}`]
                .filter((part) => part !== null)
                .join(" · ")}
            </span>
          </li>
        ))}
      </ol>
    </Section>
  );
}

/** How long a stage took. Where clocks are apart, nothing is known of that. */
function tookText(stage: Stage): string | null {
  return stage.took === null || stage.took < 0 ? null : `+${durationText(stage.took)}`;
}

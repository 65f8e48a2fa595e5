import { durationText } from "../../lib/history/time";
import { Section, Status } from "../../ui";
import { lanesOf, nodeName, type Lane, type Trace } from "./model";

/** What each node did, a lane each. The marks on the line stand at their times; the list below says the same. */
export function Lanes({ trace, nameOf }: { trace: Trace; nameOf(token: string): string }) {
  const lanes = lanesOf(trace, nameOf);
  if (lanes.length === 0) return null;
  return (
    <Section title="On the nodes" hint="Times count from the first step. Each is that of the node's own clock.">
      <ol class="lanes">
        {lanes.map((lane) => (
          <LaneRow key={lane.node.id} lane={lane} />
        ))}
      </ol>
    </Section>
  );
}

function Line({ lane }: { lane: Lane }) {
  return (
    <div class="lane-line" aria-hidden="true">
      {lane.marks.map(
        (mark, index) =>
          mark.share !== null && (
            <span key={index} class={`lane-mark lane-${mark.kind}`} style={{ left: `${mark.share * 100}%` }} />
          ),
      )}
    </div>
  );
}

function LaneRow({ lane }: { lane: Lane }) {
  return (
    <li class="lane">
      <h3>{nodeName(lane.node)}</h3>
      {lane.isSilent === true ? (
        <Status tone="warn">It gave no answer: what it did is not known.</Status>
      ) : (
        <Line lane={lane} />
      )}
      <ol class="lane-steps">
        {lane.marks.map((mark, index) => (
          <li key={index}>
            <span class={`lane-key lane-${mark.kind}`} aria-hidden="true" />
            <span>
              <b>{mark.title}</b> <span class="num">{mark.after === null ? "" : durationText(mark.after)}</span>
              {mark.text !== "" && <span class="muted lane-text">{mark.text}</span>}
            </span>
          </li>
        ))}
      </ol>
    </li>
  );
}

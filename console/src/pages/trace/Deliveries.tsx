import { useState } from "preact/hooks";
import { durationText } from "../../lib/history/time";
import { sentence } from "../../lib/delivery/state";
import { href } from "../../router";
import { Badge, Button, Card, Section, Status, Time } from "../../ui";
import {
  deliveriesOf,
  nodeName,
  notChosenOf,
  pathOf,
  receiverName,
  type Delivery,
  type Receiver,
  type Trace,
} from "./model";

/**
 * How the event went to webhooks and consumers: every attempt and acknowledgement that is known, and why it waits; and
 * who does not get it, and why.
 */
export function Deliveries({ trace, map }: { trace: Trace; map: string }) {
  const deliveries = deliveriesOf(trace);
  const others = notChosenOf(trace);
  if (deliveries.length === 0 && others.length === 0) return trace.not_chosen === undefined ? null : <Nobody />;
  return (
    <Section title="Webhooks and consumers">
      {deliveries.length > 0 && (
        <div class="grid deliveries">
          {deliveries.map((delivery) => (
            <DeliveryCard key={`${delivery.kind} ${delivery.receiver.id}`} delivery={delivery} map={map} />
          ))}
        </div>
      )}
      {others.length > 0 && (
        <Card>
          <h3>Not for these</h3>
          <ul class="not-chosen">
            {others.map(({ kind, receiver, why }) => (
              <li key={receiver.id}>
                <Badge>{kind}</Badge> <Name kind={kind} receiver={receiver} map={map} />
                <span class="muted">{sentence(why)}</span>
              </li>
            ))}
          </ul>
        </Card>
      )}
    </Section>
  );
}

function Nobody() {
  return (
    <Section title="Webhooks and consumers">
      <p class="hint">The map has no webhook and no consumer that had to do with this event.</p>
    </Section>
  );
}

function Name({ kind, receiver, map }: { kind: Delivery["kind"]; receiver: Receiver; map: string }) {
  return <a href={href(pathOf(map, kind, receiver))}>{receiverName(receiver)}</a>;
}

/** Steps of a delivery that are shown at first: the newest. */
const FIRST = 20;

function DeliveryCard({ delivery, map }: { delivery: Delivery; map: string }) {
  const { kind, receiver } = delivery;
  const [all, setAll] = useState(false);
  const hidden = all ? 0 : Math.max(0, delivery.steps.length - FIRST);
  return (
    <Card>
      <div class="row spread">
        <h3>
          <Name kind={kind} receiver={receiver} map={map} />
        </h3>
        <Badge>{kind}</Badge>
      </div>
      <Status tone={delivery.tone}>{delivery.state}</Status>
      {hidden > 0 && (
        <Button small onClick={() => setAll(true)}>
          {`Show ${hidden} earlier`}
        </Button>
      )}
      <ol class="attempts" start={hidden + 1}>
        {delivery.steps.slice(hidden).map(({ step, title, text, tone, after }, index) => (
          <li key={index} class={`tone-${tone}`}>
            <span class="attempt-text">
              <b>{title}</b> {text}
              {step.next_attempt_at != null && (
                <>
                  {text === "" ? "" : ", "}
                  <Time at={step.next_attempt_at} />
                </>
              )}
              <span class="muted lane-text">
                {after !== null && `after ${durationText(after)}`}
                {step.node !== null && `${after === null ? "" : ", "}by ${nodeName(step.node)}`}
                {step.at !== null && (
                  <>
                    {", "}
                    <Time at={step.at} exact />
                  </>
                )}
              </span>
            </span>
          </li>
        ))}
      </ol>
    </Card>
  );
}

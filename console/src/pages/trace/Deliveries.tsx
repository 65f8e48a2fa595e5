import { useState } from "preact/hooks";
import { durationText } from "../../lib/history/time";
import { Badge, Button, Card, Section, Status, Time } from "../../ui";
import { deliveriesOf, nodeName, receiverName, type Delivery, type Trace } from "./model";

/** How the event went to webhooks and consumers: every attempt and acknowledgement that is known. */
export function Deliveries({ trace }: { trace: Trace }) {
  const deliveries = deliveriesOf(trace);
  if (deliveries.length === 0) return null;
  return (
    <Section title="Webhooks and consumers">
      <div class="grid deliveries">
        {deliveries.map((delivery) => (
          <DeliveryCard key={`${delivery.kind} ${delivery.receiver.id}`} delivery={delivery} />
        ))}
      </div>
    </Section>
  );
}

/** Steps of a delivery that are shown at first: the newest. */
const FIRST = 20;

function DeliveryCard({ delivery }: { delivery: Delivery }) {
  const { kind, receiver } = delivery;
  const [all, setAll] = useState(false);
  const hidden = all ? 0 : Math.max(0, delivery.steps.length - FIRST);
  return (
    <Card>
      <div class="row spread">
        <h3>{receiverName(receiver)}</h3>
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

import { fieldsOf, valuesOf } from "../../lib/delivery/fields";
import { WEBHOOK } from "../../lib/delivery/settings";
import { valueIn } from "../../lib/delivery/state";
import { href } from "../../router";
import type { MapRef } from "../../session";
import { Card, Code, Facts, LinkButton, Note, Section } from "../../ui";
import { useAccess } from "../delivery/access";
import { mapWord, type Webhook } from "../delivery/types";
import { flat } from "./flat";

/** The settings of a webhook as they are. */
export function Settings({ map, webhook }: { map: MapRef; webhook: Webhook }) {
  const { writeWebhooks } = useAccess();
  const values = valuesOf(WEBHOOK, flat(webhook));
  const set = fieldsOf(WEBHOOK).filter((field) => field.path !== "active" && (values[field.path] ?? "") !== "");
  const short = set.filter((field) => !isLong(field.kind));
  const long = set.filter((field) => isLong(field.kind));
  const changeable = webhook.origin !== "config";
  return (
    <Section
      title="Settings"
      actions={
        writeWebhooks &&
        changeable && (
          <LinkButton kind="primary" href={href(["maps", mapWord(map), "webhooks", webhook.id, "edit"])}>
            Edit
          </LinkButton>
        )
      }
    >
      {!changeable && <Note>It stands in the nodes' configuration file, and is changed there.</Note>}
      <Card>
        <Facts
          facts={[
            ["Id", <code>{webhook.id}</code>],
            ...short.map(
              (field) =>
                [
                  field.unit === undefined ? field.label : `${field.label} (${field.unit})`,
                  <span class="pre">{valueIn(field.unit, values[field.path] ?? "")}</span>,
                ] as const,
            ),
          ]}
        />
        {long.map((field) => (
          <div key={field.path} class="stack-tight">
            <h3>{field.label}</h3>
            <Code text={values[field.path] ?? ""} label={field.label} />
          </div>
        ))}
      </Card>
    </Section>
  );
}

function isLong(kind: string): boolean {
  return kind === "code" || kind === "cel";
}

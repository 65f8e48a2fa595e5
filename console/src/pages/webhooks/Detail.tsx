import { useMemo, useState } from "preact/hooks";
import { api, url } from "../../api";
import { shareText } from "../../lib/delivery/rates";
import { disabledIn, replayWaits, webhookState } from "../../lib/delivery/state";
import { counted } from "../../lib/words";
import { href } from "../../router";
import type { MapRef } from "../../session";
import {
  Badge,
  Card,
  duration,
  Facts,
  Fault,
  LinkTabs,
  Loading,
  Note,
  number,
  PageHead,
  Section,
  Status,
  Time,
  useResource,
} from "../../ui";
import { useAccess } from "../delivery/access";
import { DeadLetters } from "../delivery/DeadLetters";
import { Gone, isGone } from "../delivery/Gone";
import { nodeWord } from "../delivery/node";
import { useGrowth } from "../delivery/useGrowth";
import { Replays } from "../delivery/Replays";
import { mapWord, type Target, type Webhook } from "../delivery/types";
import { Actions } from "./Actions";
import { Attempts } from "./Attempts";
import { Settings } from "./Settings";
import { targetText } from "./target";

const EVERY = 3000;

export function WebhookDetail({ map, id, part }: { map: MapRef; id: string; part: string }) {
  const { writeWebhooks } = useAccess();
  const path = url`/api/maps/${map.id}/webhooks/${id}`;
  const webhook = useResource(
    (signal) => api.get<{ data: Webhook }>(path, { signal }).then((answer) => answer.data),
    [path],
    EVERY,
  );
  const [turn, setTurn] = useState(0);
  const listed = useMemo(() => (webhook.data === undefined ? undefined : [webhook.data]), [webhook.data]);
  const growth = useGrowth(listed, (one) => [one.id, one.queue_depth])(id);
  if (webhook.data === undefined) {
    if (isGone(webhook.error)) return <Gone what="webhook" list={href(["maps", mapWord(map), "webhooks"])} />;
    return (
      <>
        <PageHead title="Webhook" />
        {webhook.error === undefined ? <Loading /> : <Fault error={webhook.error} retry={webhook.reload} />}
      </>
    );
  }
  const one = webhook.data;
  const name = one.name || id;
  const target: Target = { kind: "webhook", map, name, word: id, path, write: writeWebhooks, active: one.active };
  const changed = () => {
    webhook.reload();
    setTurn((was) => was + 1);
  };
  const tab = (key: string, title: string) => ({
    href: href(["maps", mapWord(map), "webhooks", id], { tab: key }),
    title,
    current: key === part,
  });
  return (
    <>
      <PageHead title={name} actions={<Actions map={map} webhook={one} path={path} changed={changed} />}>
        <a href={href(["maps", mapWord(map), "webhooks"])}>Webhooks</a> · <span class="mono">{targetText(one)}</span>
      </PageHead>
      <Fault error={webhook.error} />
      <State webhook={one} growth={growth} />
      <LinkTabs
        label="Parts of the webhook"
        tabs={[
          tab("attempts", "Attempts"),
          tab("dead-letters", `Dead letters${one.dead_letters > 0 ? ` (${number(one.dead_letters)})` : ""}`),
          tab("replays", "Replays"),
          tab("settings", "Settings"),
        ]}
      />
      {part === "attempts" && <Attempts key={turn} map={map} webhook={one} path={path} />}
      {part === "dead-letters" && <DeadLetters target={target} total={one.dead_letters} changed={webhook.reload} />}
      {part === "replays" && <Replays target={target} changed={webhook.reload} waits={replayWaits(one, Date.now())} />}
      {part === "settings" && <Settings map={map} webhook={one} />}
    </>
  );
}

function State({ webhook, growth }: { webhook: Webhook; growth: number | null }) {
  const said = webhookState(webhook, Date.now(), growth);
  const warnings = (webhook as { warnings?: readonly string[] }).warnings ?? [];
  return (
    <Section title="State" actions={webhook.origin === "config" && <Badge>from the configuration file</Badge>}>
      {said.tone === "bad" && said.why !== null && <Note tone="bad">{said.why}</Note>}
      {said.tone === "warn" && said.why !== null && <Note tone="warn">{said.why}</Note>}
      {said.tone === "off" && said.why !== null && <Note>{said.why}</Note>}
      {warnings.map((warning) => (
        <Note key={warning} tone="warn">
          {warning}
        </Note>
      ))}
      <Card>
        <Facts
          facts={[
            ["State", <Status tone={said.tone}>{said.word}</Status>],
            ["Behind", <Behind webhook={webhook} />],
            ["Wait for another try", number(webhook.retrying ?? null)],
            ["Delivered", number(webhook.delivered ?? null)],
            ["Failed attempts", <Failed count={webhook.failed_attempts ?? null} />],
            ["Success", shareText(webhook.success_rate)],
            ["Dead letters", number(webhook.dead_letters)],
            ["Lost to retention", number(webhook.missed ?? null)],
            ["A request takes", duration(webhook.request_ms)],
            ["Last delivery", <Time at={webhook.last_delivery_at ?? null} />],
            [
              "Next attempt",
              isDue(webhook.next_attempt_at) ? "due now" : <Time at={webhook.next_attempt_at ?? null} />,
            ],
            ["Delivered by", nodeWord(webhook.owner, webhook.owner_name)],
            ...disabling(webhook),
            ...rotation(webhook),
          ]}
        />
      </Card>
      <p class="hint">
        <i>Behind</i> counts all events of the map that it has yet to look at, also those that its filter does not
        choose: these pass by at once. <i>Failed attempts</i> are those since it was made, without tests; the page Usage
        has those of all webhooks, with tests, a minute later.
      </p>
    </Section>
  );
}

function disabling(webhook: Webhook): [string, string][] {
  const end = webhook.active ? disabledIn(webhook, Date.now()) : null;
  return end === null ? [] : [["It is disabled", `${end.text}, if nothing is delivered`]];
}

function rotation(webhook: Webhook): [string, preact.ComponentChildren][] {
  const until = webhook.secret_previous_until;
  return typeof until === "string" ? [["The old secret ends", <Time at={until} />]] : [];
}

function Failed({ count }: { count: number | null }) {
  return count !== null && count > 0 ? <Status tone="bad">{number(count)}</Status> : <>{number(count)}</>;
}

function Behind({ webhook }: { webhook: Webhook }) {
  if (webhook.queue_depth === 0) return <>0 events</>;
  return (
    <>
      {counted(webhook.queue_depth, "event")}, the oldest of <Time at={webhook.oldest_at ?? null} />
    </>
  );
}

/** Whether the time of an attempt has come: it is made as soon as the webhook has its turn. */
function isDue(at: string | null | undefined): boolean {
  return at != null && Date.parse(at) <= Date.now();
}

import { api, url } from "../../api";
import { commandLine, curl } from "../../lib/delivery/commands";
import { fieldsOf, valuesOf } from "../../lib/delivery/fields";
import { rateText } from "../../lib/delivery/rates";
import { CONSUMER } from "../../lib/delivery/settings";
import { consumerState, valueIn } from "../../lib/delivery/state";
import { counted } from "../../lib/words";
import { go, href } from "../../router";
import type { MapRef } from "../../session";
import {
  Button,
  Card,
  Code,
  confirm,
  Facts,
  Fault,
  LinkButton,
  LinkTabs,
  Loading,
  Note,
  number,
  PageHead,
  say,
  Section,
  Status,
  Time,
  useResource,
} from "../../ui";
import { useAccess } from "../delivery/access";
import { DeadLetters } from "../delivery/DeadLetters";
import { Gone, isGone } from "../delivery/Gone";
import { nodeWord } from "../delivery/node";
import { Replays } from "../delivery/Replays";
import { mapWord, type Consumer, type Target } from "../delivery/types";

const EVERY = 3000;

export function ConsumerDetail({ map, name, part }: { map: MapRef; name: string; part: string }) {
  const { writeConsumers, commands } = useAccess();
  const path = url`/api/maps/${map.id}/consumers/${name}`;
  const consumer = useResource(
    (signal) => api.get<{ data: Consumer }>(path, { signal }).then((answer) => answer.data),
    [path],
    EVERY,
  );
  const list = ["maps", mapWord(map), "consumers"];
  if (consumer.data === undefined) {
    if (isGone(consumer.error)) return <Gone what="consumer" list={href(list)} />;
    return (
      <>
        <PageHead title={name} />
        {consumer.error === undefined ? <Loading /> : <Fault error={consumer.error} retry={consumer.reload} />}
      </>
    );
  }
  const one = consumer.data;
  const target: Target = { kind: "consumer", map, name, word: name, path, write: writeConsumers, active: true };
  const dead = one.state.dead_letters ?? 0;
  const tab = (key: string, title: string) => ({
    href: href([...list, name], { tab: key }),
    title,
    current: key === part,
  });
  return (
    <>
      <PageHead
        title={name}
        actions={
          writeConsumers && (
            <>
              <LinkButton href={href([...list, name, "edit"])}>Edit</LinkButton>
              <Button kind="danger" onClick={() => remove(map, name, path)}>
                Delete
              </Button>
            </>
          )
        }
      >
        <a href={href(list)}>Consumers</a>
      </PageHead>
      <Fault error={consumer.error} />
      <State consumer={one} />
      <LinkTabs
        label="Parts of the consumer"
        tabs={[
          ...(commands ? [tab("reading", "Reading")] : []),
          tab("dead-letters", `Dead letters${dead > 0 ? ` (${number(dead)})` : ""}`),
          tab("replays", "Replays"),
          tab("settings", "Settings"),
        ]}
      />
      {part === "reading" && commands && <Reading map={map} name={name} />}
      {part === "dead-letters" && <DeadLetters target={target} total={dead} changed={consumer.reload} />}
      {part === "replays" && <Replays target={target} changed={consumer.reload} />}
      {part === "settings" && <Settings consumer={one} />}
    </>
  );
}

function remove(map: MapRef, name: string, path: string): void {
  confirm({
    title: `Delete the consumer ${name}?`,
    body: <p>Its position and its dead letters go with it, for ever. Its readers are told that it is gone.</p>,
    command: commandLine(["consumer", "delete"], [mapWord(map), name]),
    action: `Delete ${name}`,
    danger: true,
    type: name,
    act: () => api.delete(path),
  }).then(
    (was) => {
      if (!was) return;
      say(`${name} is deleted`);
      go(["maps", mapWord(map), "consumers"]);
    },
    () => {},
  );
}

function State({ consumer }: { consumer: Consumer }) {
  const { state } = consumer;
  const said = consumerState(state, Date.now());
  return (
    <Section title="State">
      {said.why !== null && <Note tone={said.tone === "bad" ? "bad" : "warn"}>{said.why}</Note>}
      <Card>
        <Facts
          facts={[
            ["State", <Status tone={said.tone}>{said.word}</Status>],
            ["Behind", counted(state.lag ?? 0, "event")],
            ["Oldest", <Time at={state.oldest_at ?? null} />],
            ["Acknowledged", `${number(state.acknowledged ?? 0)}${state.rate ? ` (${rateText(state.rate)})` : ""}`],
            ["Came back", number(state.returned ?? null)],
            ["Wait for another try", number(state.retrying ?? null)],
            ["Dead letters", number(state.dead_letters ?? null)],
            ["Lost to retention", number(state.missed ?? null)],
            ["Last acknowledgement", <Time at={state.last_ack_at ?? null} />],
            ["Handed out by", nodeWord(state.owner, state.owner_name)],
          ]}
        />
      </Card>
      <p class="hint">
        <i>Behind</i> counts all events of the map that it has yet to look at, also those that its filter does not
        choose, and those that its readers have not acknowledged.
      </p>
    </Section>
  );
}

function Reading({ map, name }: { map: MapRef; name: string }) {
  const things = [mapWord(map), name];
  return (
    <Section
      title="Reading"
      hint="A reader may ask any node. Its token needs the scope subscribe. What a reader takes, others get again only if it is not acknowledged in time."
    >
      <Code
        text={commandLine(["consumer", "pull"], things, { max: 10, wait: 20 })}
        label="Command line that takes events and does not acknowledge them"
      />
      <p class="hint">
        With <code>--ack</code> it acknowledges what it prints: the workers do not get these events any more.
      </p>
      <Code
        text={curl("POST", `${url`/api/maps/${mapWord(map)}/consumers/${name}/pull`}?max=100&wait=20`)}
        label="Request that takes events"
      />
    </Section>
  );
}

function Settings({ consumer }: { consumer: Consumer }) {
  const values = valuesOf(CONSUMER, consumer as Readonly<Record<string, unknown>>);
  const set = fieldsOf(CONSUMER).filter((field) => (values[field.path] ?? "") !== "");
  return (
    <Section title="Settings">
      <Card>
        <Facts
          facts={set.map(
            (field) =>
              [
                field.unit === undefined ? field.label : `${field.label} (${field.unit})`,
                <span class="pre">{valueIn(field.unit, values[field.path] ?? "")}</span>,
              ] as const,
          )}
        />
      </Card>
    </Section>
  );
}

// What can be done with a webhook as a whole.
import { useState } from "preact/hooks";
import { api } from "../../api";
import { commandLine } from "../../lib/delivery/commands";
import { go, href } from "../../router";
import type { MapRef } from "../../session";
import { Button, confirm, LinkButton, say } from "../../ui";
import { useAccess } from "../delivery/access";
import { mapWord, type Webhook } from "../delivery/types";
import { Enable } from "./Enable";
import { Rotate } from "./Rotate";
import { Test } from "./Test";

export interface ActionProps {
  map: MapRef;
  webhook: Webhook;
  path: string;
  changed(): void;
}

export function Actions(props: ActionProps) {
  const { map, webhook, path, changed } = props;
  const { writeWebhooks } = useAccess();
  const [open, setOpen] = useState<"test" | "enable" | "rotate" | null>(null);
  if (!writeWebhooks) return null;
  const things = [mapWord(map), webhook.id];
  const name = webhook.name || webhook.id;
  const pause = () =>
    confirm({
      title: `Pause ${name}?`,
      body: (
        <p>
          Nothing is delivered until it is enabled. Its events are kept only as long as the map keeps them for readers.
        </p>
      ),
      command: commandLine(["webhook", "disable"], things),
      action: `Pause ${name}`,
      act: () => api.post(`${path}/disable`, {}),
    }).then((was) => was && changed());
  const remove = () =>
    confirm({
      title: `Delete the webhook ${name}?`,
      body: <p>Its dead letters go with it, for ever. Events that it has not delivered are not delivered.</p>,
      command: commandLine(["webhook", "delete"], things),
      action: `Delete ${name}`,
      danger: true,
      type: name,
      act: () => api.delete(path),
    }).then((was) => {
      if (!was) return;
      say(`${name} is deleted`);
      go(["maps", mapWord(map), "webhooks"]);
    });
  const own = webhook.origin !== "config";
  const close = () => setOpen(null);
  return (
    <>
      <Button onClick={() => setOpen("test")}>Test</Button>
      {webhook.active ? (
        <Button icon="pause" onClick={pause}>
          Pause
        </Button>
      ) : (
        <Button icon="play" kind="primary" onClick={() => setOpen("enable")}>
          Enable
        </Button>
      )}
      {own && <Button onClick={() => setOpen("rotate")}>Rotate secret</Button>}
      {own && <LinkButton href={href(["maps", mapWord(map), "webhooks", webhook.id, "edit"])}>Edit</LinkButton>}
      {own && (
        <Button kind="danger" onClick={remove}>
          Delete
        </Button>
      )}
      {open === "test" && <Test {...props} close={close} />}
      {open === "enable" && <Enable {...props} close={close} />}
      {open === "rotate" && <Rotate {...props} close={close} />}
    </>
  );
}

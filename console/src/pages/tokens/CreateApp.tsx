import { useState } from "preact/hooks";
import { api, url, type Schemas } from "../../api";
import { isAdmin, type MapRef } from "../../session";
import { Button, Code, Command, Dialog, Facts, Fault, Field, Note, Secret, shell, useAction } from "../../ui";
import { AppFields, isMostWrong, originsOf, settingsOf } from "./AppFields";
import { SigningWebhooks } from "./SigningWebhooks";

type App = Schemas["App"];
type Made = App & { secret: string; map_changes: string[] };

interface Props {
  map: MapRef;
  /** The credentials that are to be replaced: both work until the old ones are deleted. */
  like: App | null;
  onCreated(): void;
  onClose(): void;
}

/** Creates credentials for Pusher clients, and shows the secret once. */
export function CreateApp({ map, like, onCreated, onClose }: Props) {
  const [appId, setAppId] = useState(like?.app_id ?? "");
  const [settings, setSettings] = useState(settingsOf(like));
  const [made, setMade] = useState<Made | null>(null);
  const { busy, error, run } = useAction();
  const { events, most } = settings;
  const list = originsOf(settings);
  const create = () =>
    run(async () => {
      const body: Record<string, unknown> = { client_events: events, origins: list };
      if (appId !== "") body["app_id"] = appId;
      if (most !== "") body["max_connections"] = Number(most);
      setMade((await api.post<{ data: Made }>(url`/api/maps/${map.id}/pusher`, body)).data);
      onCreated();
    });
  if (made !== null) return <Shown map={map} made={made} replaces={like} onClose={onClose} />;
  const line = [
    `waypost pusher create ${shell(map.slug)}`,
    appId !== "" && `--app-id ${shell(appId)}`,
    events && "--client-events",
    list.length > 0 && `--origins ${shell(list.join(","))}`,
    most !== "" && `--max-connections ${most}`,
  ];
  return (
    <Dialog
      title={like === null ? "Create credentials" : `New credentials beside ${like.key}`}
      onClose={onClose}
      busy={busy}
      actions={
        <>
          <Button onClick={onClose} disabled={busy}>
            Cancel
          </Button>
          <Button kind="primary" busy={busy} disabled={isMostWrong(settings)} onClick={create}>
            Create
          </Button>
        </>
      }
    >
      {like !== null && <Note>Both keys work until you delete the old one.</Note>}
      {like === null && isAdmin() && (
        <Field
          label="App id"
          value={appId}
          onInput={setAppId}
          hint="Empty: the server makes one."
          maxLength={64}
          mono
        />
      )}
      <AppFields settings={settings} onChange={setSettings} />
      <Command line={line.filter(Boolean).join(" ")} />
      <Fault error={error} />
    </Dialog>
  );
}

interface ShownProps {
  map: MapRef;
  made: Made;
  replaces: App | null;
  onClose(): void;
}

function Shown({ map, made, replaces, onClose }: ShownProps) {
  const client = `new Pusher(${JSON.stringify(made.key)}, {\n  wsHost: ${JSON.stringify(location.hostname)},\n  cluster: "",\n});`;
  return (
    <Dialog title="The credentials are made" firm onClose={onClose} actions={<Button onClick={onClose}>Close</Button>}>
      <Secret what="Secret" text={made.secret} />
      <Facts
        facts={[
          ["App id", <code>{made.app_id}</code>],
          ["Key", <code>{made.key}</code>],
        ]}
      />
      {made.map_changes.map((change) => (
        <Note key={change}>{change}</Note>
      ))}
      {replaces !== null && (
        <>
          <Note>Delete {replaces.key} once nobody uses it.</Note>
          <SigningWebhooks map={map} signs={replaces.key} next={made.key}>
            with the old key and its secret: a receiver that has only the new pair refuses these deliveries. When it
            gets the new pair, give it to the webhook, too (SECRET is the secret above):
          </SigningWebhooks>
        </>
      )}
      <Code text={client} label="In a page" />
    </Dialog>
  );
}

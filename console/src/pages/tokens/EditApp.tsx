import { useState } from "preact/hooks";
import { api, url, type Schemas } from "../../api";
import type { MapRef } from "../../session";
import { Button, Command, Dialog, Fault, Note, say, shell, useAction } from "../../ui";
import { AppFields, isMostWrong, originsOf, settingsOf } from "./AppFields";

interface Props {
  map: MapRef;
  app: Schemas["App"];
  onChanged(): void;
  onClose(): void;
}

/** Changes what clients of a key may do, and who may connect. What is not touched is not sent. */
export function EditApp({ map, app, onChanged, onClose }: Props) {
  const [settings, setSettings] = useState(settingsOf(app));
  const { busy, error, run } = useAction();
  const origins = originsOf(settings);
  const most = settings.most === "" ? null : Number(settings.most);
  const body: Record<string, unknown> = {};
  const line = [`waypost pusher update ${shell(map.slug)} ${shell(app.key)}`];
  if (settings.events !== app.client_events) {
    body["client_events"] = settings.events;
    line.push(`--client-events=${settings.events}`);
  }
  if (origins.join("\n") !== app.origins.join("\n")) {
    body["origins"] = origins;
    line.push(`--origins ${shell(origins.length === 0 ? "*" : origins.join(","))}`);
  }
  if (most !== (app.max_connections ?? null)) {
    body["max_connections"] = most;
    line.push(`--max-connections ${most ?? "none"}`);
  }
  const change = () =>
    run(async () => {
      await api.patch(url`/api/maps/${map.id}/pusher/${app.key}`, body);
      say("Changed");
      onChanged();
      onClose();
    });
  return (
    <Dialog
      title={`Change the key ${app.key}`}
      onClose={onClose}
      busy={busy}
      actions={
        <>
          <Button onClick={onClose} disabled={busy}>
            Cancel
          </Button>
          <Button
            kind="primary"
            busy={busy}
            disabled={isMostWrong(settings) || Object.keys(body).length === 0}
            onClick={change}
          >
            Change
          </Button>
        </>
      }
    >
      <Note>Client events count for open connections, too; origins and the limit for those that begin later.</Note>
      <AppFields settings={settings} onChange={setSettings} />
      <Command line={line.join(" ")} />
      <Fault error={error} />
    </Dialog>
  );
}

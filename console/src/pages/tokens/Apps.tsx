import { useState } from "preact/hooks";
import { api, url, type Schemas } from "../../api";
import type { MapRef } from "../../session";
import { Badge, Button, confirm, number, say, Section, shell, Table, Time, useResource, type Column } from "../../ui";
import { CreateApp } from "./CreateApp";
import { EditApp } from "./EditApp";
import { SigningWebhooks } from "./SigningWebhooks";

type App = Schemas["App"];

/** Credentials of Pusher clients. */
export function Apps({ map }: { map: MapRef }) {
  const [making, setMaking] = useState<App | "new" | null>(null);
  const [changing, setChanging] = useState<App | null>(null);
  const path = url`/api/maps/${map.id}/pusher`;
  const apps = useResource((signal) => api.get<{ data: App[] }>(path, { signal }), [path]);
  const remove = (app: App) =>
    confirm({
      title: `Delete the key ${app.key}`,
      body: (
        <>
          <p>Its sockets close within a second, on every node, and its back ends are refused. This cannot be undone.</p>
          <SigningWebhooks map={map} signs={app.key} next="NEWKEY">
            with the key {app.key} and its secret, and will go on after the deletion. To give them another key and its
            secret:
          </SigningWebhooks>
        </>
      ),
      command: `waypost pusher delete ${shell(map.slug)} ${shell(app.key)}`,
      action: "Delete",
      danger: true,
      act: async () => {
        await api.delete(url`/api/maps/${map.id}/pusher/${app.key}`);
        say("Deleted");
        apps.reload();
      },
    }).catch(() => {});
  const columns: Column<App>[] = [
    ...COLUMNS,
    {
      key: "do",
      title: "",
      align: "end",
      cell: (app) =>
        app.origin === "config" ? (
          <span class="muted">in the configuration file</span>
        ) : (
          <span class="row row-end">
            <Button small onClick={() => setChanging(app)}>
              Change
            </Button>
            <Button small onClick={() => setMaking(app)}>
              Rotate
            </Button>
            <Button small kind="danger" onClick={() => remove(app)}>
              Delete
            </Button>
          </span>
        ),
    },
  ];
  return (
    <Section
      title="Pusher apps"
      hint={
        <>
          Credentials for clients and back ends that are written for Pusher. <a href="/docs/PUSHER.html">More</a>
        </>
      }
      actions={
        <Button icon="plus" disabled={(apps.data?.data.length ?? 0) >= 10} onClick={() => setMaking("new")}>
          Create credentials
        </Button>
      }
    >
      <Table
        caption="Pusher apps"
        rows={apps.data?.data}
        rowKey={(app) => app.key}
        loading={apps.loading}
        error={apps.error}
        retry={apps.reload}
        empty="No Pusher client uses this map."
        columns={columns}
      />
      {making !== null && (
        <CreateApp
          map={map}
          like={making === "new" ? null : making}
          onCreated={apps.reload}
          onClose={() => setMaking(null)}
        />
      )}
      {changing !== null && (
        <EditApp map={map} app={changing} onChanged={apps.reload} onClose={() => setChanging(null)} />
      )}
    </Section>
  );
}

const COLUMNS: readonly Column<App>[] = [
  { key: "app", title: "App id", sort: (app) => app.app_id, cell: (app) => <code>{app.app_id}</code> },
  { key: "key", title: "Key", cell: (app) => <code>{app.key}</code> },
  {
    key: "client",
    title: "Client events",
    wide: true,
    cell: (app) => (app.client_events ? <Badge tone="info">allowed</Badge> : "no"),
  },
  { key: "origins", title: "Origins", wide: true, cell: (app) => app.origins.join(", ") || "any" },
  {
    key: "max",
    title: "Connections",
    align: "end",
    wide: true,
    cell: (app) => (app.max_connections == null ? "no limit" : number(app.max_connections)),
  },
  { key: "made", title: "Created", wide: true, cell: (app) => <Time at={app.inserted_at} /> },
];

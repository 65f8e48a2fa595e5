import { api, url, type Schemas } from "../api";
import { go } from "../router";
import { isAdmin } from "../session";
import { Button, confirm, Fault, Loading, Note, PageHead, say, shell, useResource } from "../ui";
import { MapForm } from "./settings/MapForm";
import { Rules } from "./settings/Rules";
import type { MapPage } from "./props";

/** Name, limits, retention and channel rules of a map, and its end. */
export function Settings({ map }: MapPage) {
  const found = useResource(
    (signal) => api.get<{ data: Schemas["Map"] }>(url`/api/maps/${map.id}`, { signal }),
    [map.id],
  );
  const settings = found.data?.data;
  return (
    <>
      <PageHead title="Settings">{map.slug}</PageHead>
      {!isAdmin() && (
        <Note>Slug, limits and retention are the admin's. You can change the name and the channel rules.</Note>
      )}
      {settings === undefined && found.error === undefined && <Loading />}
      <Fault error={found.error} retry={found.reload} />
      {settings !== undefined && <MapForm key={settings.updated_at} map={settings} onSaved={found.reload} />}
      <Rules map={map.id} />
      {isAdmin() && <Danger id={map.id} slug={map.slug} />}
    </>
  );
}

function Danger({ id, slug }: { id: string; slug: string }) {
  const remove = () =>
    confirm({
      title: `Delete ${slug}`,
      body: (
        <p>
          Its events, tokens, webhooks and consumers are deleted on every node, and its clients are closed. This cannot
          be undone.
        </p>
      ),
      command: `waypost map delete ${shell(slug)}`,
      action: `Delete ${slug}`,
      danger: true,
      type: slug,
      act: async () => {
        await api.delete(url`/api/maps/${id}`);
        say(`${slug} is deleted`);
        go(["maps"]);
      },
    }).catch(() => {});
  return (
    <section class="danger-zone">
      <div>
        <h2>Delete this map</h2>
        <p class="muted">With all events, tokens, webhooks and consumers.</p>
      </div>
      <Button kind="danger" onClick={remove}>
        Delete the map
      </Button>
    </section>
  );
}

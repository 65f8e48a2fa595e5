import { route } from "../router";
import { Secrets } from "./delivery/Secret";
import type { MapPage } from "./props";
import { WebhookDetail } from "./webhooks/Detail";
import { EditWebhook, NewWebhook } from "./webhooks/Edit";
import { WebhookList } from "./webhooks/List";

/** The webhooks of a map: the list, a form for a new one, or one of them. */
export function Webhooks({ map, rest }: MapPage) {
  const [first, part] = rest;
  const tab = route.value.query.get("tab") ?? "attempts";
  return (
    <div class="stack">
      {first === undefined && <WebhookList map={map} />}
      {first === "new" && <NewWebhook map={map} />}
      {first !== undefined && first !== "new" && part === "edit" && <EditWebhook key={first} map={map} id={first} />}
      {first !== undefined && first !== "new" && part !== "edit" && (
        <WebhookDetail key={first} map={map} id={first} part={tab} />
      )}
      <Secrets />
    </div>
  );
}

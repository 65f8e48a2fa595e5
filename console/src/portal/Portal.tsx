import { useEffect, useRef } from "preact/hooks";
import { lost } from "../api";
import { rightsOf } from "../lib/portal/link";
import { Consumers } from "../pages/Consumers";
import { AccessProvider, type Access } from "../pages/delivery/access";
import { Webhooks } from "../pages/Webhooks";
import { href, route } from "../router";
import { Fault, LinkTabs, Loading, Note, PageHead, Questions, Time, Toasts } from "../ui";
import { ask, link, type Opened } from "./link";

export function Portal() {
  const now = link.value;
  return (
    <div class="portal">
      <div role="status" aria-live="polite">
        {lost.value !== null && <Note tone="warn">The server gives no answer. This page tries again by itself.</Note>}
      </div>
      <main class="content">
        {now.state === "asking" && <Loading what="Opening the link" />}
        {now.state === "failed" && (
          <>
            <PageHead title="This link cannot be opened now" />
            <Fault error={now.error} retry={ask} />
          </>
        )}
        {now.state === "ended" && (
          <div role="alert">
            <PageHead title="This link has ended">
              Its time is over, or it was withdrawn. Open it again from the page that you came from.
            </PageHead>
          </div>
        )}
        {now.state === "missing" && (
          <PageHead title="This page was opened without its link">
            That happens when a frame is loaded again. Load the page around it again, which brings a new link.
          </PageHead>
        )}
        {now.state === "open" && <Pages opened={now.opened} />}
      </main>
      <Questions />
      <Toasts />
    </div>
  );
}

function Pages({ opened }: { opened: Opened }) {
  const { map, scopes, expiresAt } = opened;
  const rights = rightsOf(scopes);
  const { path } = route.value;
  useFocus(path.join("/"));
  const access: Access = {
    writeWebhooks: rights.writeWebhooks,
    writeConsumers: rights.writeConsumers,
    readEvents: false,
    publish: false,
    trace: false,
    commands: false,
    portal: false,
  };
  const [, , named, ...rest] = path;
  const places = [
    { key: "webhooks", title: "Webhooks", open: rights.readWebhooks, page: Webhooks },
    { key: "consumers", title: "Consumers", open: rights.readConsumers, page: Consumers },
  ].filter((place) => place.open);
  const place = places.find((one) => one.key === named) ?? places[0];
  if (place === undefined) {
    return (
      <PageHead title="This link opens nothing that can be shown">
        It needs the scope webhooks:read or consumers:read.
      </PageHead>
    );
  }
  const tabs = places.map(({ key, title }) => ({
    href: href(["maps", map.slug, key]),
    title,
    current: key === place.key,
  }));
  return (
    <AccessProvider value={access}>
      {tabs.length > 1 && <LinkTabs label="Parts of the portal" tabs={tabs} />}
      <place.page map={map} rest={place.key === named ? rest : []} />
      <p class="hint portal-end">
        This link ends <Time at={expiresAt} />.
      </p>
    </AccessProvider>
  );
}

/** Moves the focus to the title of a new page, but never takes it from the page around when this one is opened. */
function useFocus(where: string): void {
  const first = useRef(true);
  useEffect(() => {
    if (!first.current) document.getElementById("page-title")?.focus({ preventScroll: true });
    first.current = false;
  }, [where]);
}

// Live tail, history, and publishing by hand.
import { useMemo, useState } from "preact/hooks";
import { Fields } from "../lib/cel/fields";
import type { Event } from "../lib/history/event";
import { addressOf, same, wantedOf, type Wanted } from "../lib/history/wanted";
import { href, route, setQuery } from "../router";
import { can } from "../session";
import { Button, LinkButton, LinkTabs, PageHead } from "../ui";
import type { MapPage } from "./props";
import { History } from "./tail/History";
import { Live } from "./tail/Live";
import { Publish, type Draft } from "./tail/Publish";
import { WantedForm } from "./tail/WantedForm";

export function Tail({ map }: MapPage) {
  const { query } = route.value;
  const fields = useMemo(() => new Fields(), [map.id]);
  const [draft, setDraft] = useState<{ turn: number; draft: Draft } | null>(null);
  const wanted = wantedOf(query);
  const history = query.get("view") === "history";
  const reads = can("subscribe");
  const publishing = (query.get("publish") === "1" || !reads) && can("publish");
  const apply = (next: Wanted) => {
    if (!same(next, wanted)) setQuery(addressOf(next));
  };
  const narrow = (changes: Partial<Wanted>) => apply({ ...wanted, ...changes });
  const again = (event: Event) => {
    const { type, subject = "", payload } = event;
    const next = { type, subject, payload: JSON.stringify(payload, null, 2) };
    setDraft((was) => ({ turn: (was?.turn ?? 0) + 1, draft: next }));
    setQuery({ publish: "1" });
    document.getElementById("page-title")?.scrollIntoView();
  };
  const address = { ...addressOf(wanted), publish: publishing ? "1" : null };
  const tabs = [
    { href: href(["maps", map.slug, "tail"], address), title: "Live", current: !history },
    { href: href(["maps", map.slug, "tail"], { ...address, view: "history" }), title: "History", current: history },
  ];
  const parts = { map, wanted, fields, onNarrow: narrow, onAgain: again };
  return (
    <>
      <PageHead
        title="Live tail"
        actions={
          <>
            {can("manage") && <LinkButton href={href(["maps", map.slug, "events"])}>Follow one event</LinkButton>}
            {can("publish") && reads && (
              <Button icon="plus" expanded={publishing} onClick={() => setQuery({ publish: publishing ? null : "1" })}>
                Publish an event
              </Button>
            )}
          </>
        }
      >
        Events of {map.name ?? map.slug}, as they are published and as they are stored.
      </PageHead>
      {publishing && <Publish key={draft?.turn} map={map} fields={fields} draft={draft?.draft ?? null} />}
      {reads && <LinkTabs label="Live or history" tabs={tabs} />}
      {reads && history && <History {...parts} onApply={apply} />}
      {reads && !history && (
        <>
          <WantedForm map={map.id} wanted={wanted} fields={fields} onApply={apply} action="Apply" />
          <Live {...parts} />
        </>
      )}
    </>
  );
}

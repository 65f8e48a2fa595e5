import { useState } from "preact/hooks";
import { api, url } from "../../api";
import type { MapRef } from "../../session";
import { Button, confirm, say, Section, Table, Time, useResource } from "../../ui";
import { IssuerForm } from "./IssuerForm";
import { keySource, unchanged, type Issuer, type IssuerBody } from "./issuer";

/** The issuers whose client tokens (JWTs) the map accepts. */
export function Issuers({ map }: { map: MapRef }) {
  const [edited, setEdited] = useState<Issuer | "new" | null>(null);
  const path = url`/api/maps/${map.id}/issuers`;
  const stored = useResource((signal) => api.get<{ data: { issuers: Issuer[] } }>(path, { signal }), [path]);
  const issuers = stored.data?.data.issuers;
  // All are replaced at once: those that are sent as they are keep their clients.
  const put = async (next: IssuerBody[]) => {
    // Otherwise an issuer that somebody else has removed meanwhile would be accepted again.
    const now = await api.get<{ data: { issuers: Issuer[] } }>(path);
    if (JSON.stringify(now.data.issuers) !== JSON.stringify(issuers)) {
      throw new Error("Somebody else has changed the issuers since you opened this page. Load it again first.");
    }
    await api.put(path, { issuers: next });
    stored.reload();
  };
  const others = (but: Issuer | "new" | null) => (issuers ?? []).filter((one) => one !== but).map(unchanged);
  const remove = (issuer: Issuer) =>
    confirm({
      title: `Remove the issuer ${issuer.name}`,
      body: <p>Its client tokens are no longer accepted, and its clients are closed on every node.</p>,
      action: "Remove",
      danger: true,
      act: async () => {
        await put(others(issuer));
        say(`${issuer.name} is removed`);
      },
    }).catch(() => {});
  return (
    <Section
      title="Issuers of client tokens"
      hint={
        <>
          A back end of your own signs tokens (JWTs) for its users. <a href="/docs/TOKENS.html">Tokens</a> describes
          them.
        </>
      }
      actions={
        <Button icon="plus" disabled={issuers === undefined || issuers.length >= 10} onClick={() => setEdited("new")}>
          Add an issuer
        </Button>
      }
    >
      <Table
        caption="Issuers"
        rows={issuers}
        rowKey={(issuer) => issuer.name}
        loading={stored.loading}
        error={stored.error}
        retry={stored.reload}
        empty="No issuers: only the map's own tokens are accepted."
        columns={[
          { key: "name", title: "Name", sort: (one) => one.name, cell: (one) => <code>{one.name}</code> },
          { key: "algorithm", title: "Algorithm", cell: (one) => one.algorithm },
          { key: "key", title: "Key", wide: true, cell: keySource },
          { key: "iss", title: "iss", wide: true, cell: (one) => one.issuer ?? "–" },
          { key: "made", title: "Since", wide: true, cell: (one) => <Time at={one.inserted_at} /> },
          {
            key: "do",
            title: "",
            align: "end",
            cell: (one) => (
              <span class="row row-end">
                <Button small onClick={() => setEdited(one)}>
                  Edit
                </Button>
                <Button small kind="danger" onClick={() => remove(one)}>
                  Remove
                </Button>
              </span>
            ),
          },
        ]}
      />
      {edited !== null && (
        <IssuerForm
          issuer={edited === "new" ? null : edited}
          path={path}
          others={others(edited)}
          onSave={async (body) => {
            await put([...others(edited), body]);
            say("Saved");
            setEdited(null);
          }}
          onClose={() => setEdited(null)}
        />
      )}
    </Section>
  );
}

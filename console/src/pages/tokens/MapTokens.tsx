import { useState } from "preact/hooks";
import { api, url, type Schemas } from "../../api";
import { isAdmin, type MapRef } from "../../session";
import {
  Badge,
  Button,
  confirm,
  CopyButton,
  Id,
  say,
  Section,
  shell,
  Table,
  Time,
  useResource,
  type Column,
} from "../../ui";
import { CreateToken } from "./CreateToken";

type Token = Schemas["Token"];

/** The tokens of a map. */
export function MapTokens({ map }: { map: MapRef }) {
  const [open, setOpen] = useState(false);
  const path = url`/api/maps/${map.id}/tokens`;
  const tokens = useResource((signal) => api.get<{ data: Token[] }>(path, { signal }), [path]);
  const all = tokens.data?.data;
  const managing = all?.filter((token) => token.scopes.includes("manage")) ?? [];
  const revoke = (token: Token) =>
    confirm({
      title: `Revoke ${token.name || token.id.slice(0, 8)}`,
      body: (
        <>
          <p>Its sockets close within a second, on every node. This cannot be undone.</p>
          {managing.length === 1 && managing[0]?.id === token.id && (
            <p>
              <strong>No other token of the map has the scope manage.</strong> Without it only the admin
              {isAdmin() ? "" : ", not you,"} manages the map.
            </p>
          )}
        </>
      ),
      command: `waypost token revoke ${shell(map.slug)} ${token.id}`,
      action: "Revoke",
      danger: true,
      act: async () => {
        await api.delete(url`/api/maps/${map.id}/tokens/${token.id}`);
        say("Revoked");
        tokens.reload();
      },
    }).catch(() => {});
  return (
    <Section
      title="Tokens"
      hint="A fingerprint is the beginning of the SHA-256 of a token: it says which token a text is. The audit log names a token by its name and its id."
      actions={
        <Button icon="plus" onClick={() => setOpen(true)}>
          Create a token
        </Button>
      }
    >
      <Table
        caption="Tokens"
        rows={all}
        rowKey={(token) => token.id}
        loading={tokens.loading}
        error={tokens.error}
        retry={tokens.reload}
        empty="This map has no tokens: only the admin reaches it."
        columns={[...COLUMNS, { key: "do", title: "", align: "end", cell: (token) => revokeButton(token, revoke) }]}
      />
      {open && <CreateToken map={map} onClose={() => setOpen(false)} onCreated={tokens.reload} />}
    </Section>
  );
}

function revokeButton(token: Token, revoke: (token: Token) => void) {
  return (
    <Button small kind="danger" onClick={() => revoke(token)}>
      Revoke
    </Button>
  );
}

const COLUMNS: readonly Column<Token>[] = [
  {
    key: "name",
    title: "Name",
    sort: (token) => token.name,
    cell: (token) => (
      <div class="stack-none">
        {token.name || <span class="muted">without a name</span>}
        <span class="hint row ev-copy">
          <Id value={token.id} /> <CopyButton text={token.id} label={`Copy the id of ${token.name || "the token"}`} />
        </span>
      </div>
    ),
  },
  {
    key: "scopes",
    title: "May",
    cell: (token) => (
      <span class="row">
        {token.scopes.map((scope) => (
          <Badge key={scope} tone={scope === "manage" ? "info" : "off"}>
            {scope}
          </Badge>
        ))}
      </span>
    ),
  },
  { key: "subjects", title: "Subjects", wide: true, cell: (token) => token.subjects?.join(", ") ?? "all" },
  { key: "print", title: "Fingerprint", wide: true, cell: (token) => <code>{token.fingerprint}</code> },
  {
    key: "ends",
    title: "Ends",
    sort: (token) => token.expires_at ?? "9999",
    cell: (token) => (token.expires_at == null ? "never" : <Time at={token.expires_at} />),
  },
  {
    key: "made",
    title: "Created",
    wide: true,
    sort: (token) => token.inserted_at,
    cell: (token) => <Time at={token.inserted_at} />,
  },
];

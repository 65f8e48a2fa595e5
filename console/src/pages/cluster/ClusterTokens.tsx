import { useState } from "preact/hooks";
import { api, url, type Schemas } from "../../api";
import {
  Button,
  Checkbox,
  confirm,
  CopyButton,
  Dialog,
  Fault,
  Field,
  Group,
  Id,
  Section,
  Secret,
  say,
  Table,
  Time,
  useAction,
  useResource,
} from "../../ui";

type AdminToken = Schemas["AdminToken"];

/** Tokens for those who watch or operate the cluster and shall do nothing else. */
export function ClusterTokens() {
  const [open, setOpen] = useState(false);
  const tokens = useResource((signal) => api.get<{ data: AdminToken[] }>("/api/admin-tokens", { signal }), []);
  const revoke = (token: AdminToken) =>
    confirm({
      title: `Revoke ${token.name || token.id}`,
      body: <p>No node in reach accepts it any more. This cannot be undone.</p>,
      action: "Revoke",
      danger: true,
      act: async () => {
        await api.delete(url`/api/admin-tokens/${token.id}`);
        say("Revoked");
        tokens.reload();
      },
    }).catch(() => {});
  return (
    <Section
      title="Tokens of the cluster"
      hint="They may do less than the admin token: read the status, or operate nodes."
      actions={
        <Button icon="plus" onClick={() => setOpen(true)}>
          Create a token
        </Button>
      }
    >
      <Table
        caption="Tokens of the cluster"
        rows={tokens.data?.data}
        rowKey={(token) => token.id}
        loading={tokens.loading}
        error={tokens.error}
        retry={tokens.reload}
        empty="There is only the admin token of the configuration."
        columns={[
          { key: "name", title: "Name", sort: (token) => token.name, cell: (token) => token.name || "–" },
          {
            key: "id",
            title: "Id",
            wide: true,
            cell: (token) => (
              <span class="row ev-copy">
                <Id value={token.id} />{" "}
                <CopyButton text={token.id} label={`Copy the id of ${token.name || "the token"}`} />
              </span>
            ),
          },
          { key: "scopes", title: "May", cell: (token) => token.scopes.join(", ") },
          {
            key: "made",
            title: "Created",
            sort: (token) => token.inserted_at,
            cell: (token) => <Time at={token.inserted_at} />,
          },
          {
            key: "do",
            title: "",
            align: "end",
            cell: (token) => (
              <Button small kind="danger" onClick={() => revoke(token)}>
                Revoke
              </Button>
            ),
          },
        ]}
      />
      {open && <Create onClose={() => setOpen(false)} onDone={tokens.reload} />}
    </Section>
  );
}

function Create({ onClose, onDone }: { onClose(): void; onDone(): void }) {
  const [name, setName] = useState("");
  const [operate, setOperate] = useState(false);
  const [made, setMade] = useState<string | null>(null);
  const { busy, error, run } = useAction();
  const create = () =>
    run(async () => {
      const scopes = operate ? ["read", "operate"] : ["read"];
      const { data } = await api.post<{ data: { token: string } }>("/api/admin-tokens", { name, scopes });
      setMade(data.token);
      onDone();
    });
  return (
    <Dialog
      title={made === null ? "Create a token of the cluster" : "The token is made"}
      firm={made !== null}
      onClose={onClose}
      onSubmit={() => {
        if (made === null && !busy) create().catch(() => {});
      }}
      busy={busy}
      actions={
        <>
          <Button onClick={onClose} disabled={busy}>
            Close
          </Button>
          {made === null && (
            <Button kind="primary" type="submit" busy={busy}>
              Create
            </Button>
          )}
        </>
      }
    >
      {made === null ? (
        <>
          <Field label="Name" value={name} onInput={setName} maxLength={200} autofocus />
          <Group legend="What it may do">
            <Checkbox
              label="Read the status of the cluster and the list of maps"
              checked
              onChange={() => {}}
              disabled
            />
            <Checkbox label="Operate nodes: drain, transfer and the others" checked={operate} onChange={setOperate} />
          </Group>
          <Fault error={error} />
        </>
      ) : (
        <Secret what="The new token" text={made} />
      )}
    </Dialog>
  );
}

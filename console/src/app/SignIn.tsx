import { useState } from "preact/hooks";
import { api, ApiError } from "../api";
import { signIn } from "../session";
import { Button, Fault, Field, LinkButton, Note, useAction, useResource } from "../ui";
import { Mark } from "./Mark";

interface Config {
  oidc: { name: string } | null;
  version: string;
}

/** Asks for a token, or leads to the issuer that is configured. */
export function SignIn({ why }: { why: string | null }) {
  const [token, setToken] = useState("");
  const { busy, error, run } = useAction();
  const config = useResource(
    (signal) => api.get<{ data: Config }>("/console/config", { signal, quiet: true }).then((answer) => answer.data),
    [],
  );
  const oidc = config.data?.oidc ?? null;
  const unknown = error instanceof ApiError && (error.status === 401 || error.status === 403);
  return (
    <main class="signin">
      <h1 class="brand">
        <Mark /> Waypost
      </h1>
      {why !== null && <Note>{why}</Note>}
      {oidc !== null && (
        <LinkButton href="/console/oidc/start" kind="primary" icon="out">
          {`Sign in with ${oidc.name}`}
        </LinkButton>
      )}
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          run(() => signIn(token.trim())).catch(() => {});
        }}
      >
        <Field
          label="Token"
          type="password"
          value={token}
          onInput={setToken}
          hint="The admin token shows the whole cluster, a map's token that map. The browser does not keep it."
          fault={unknown ? "No map and no cluster here knows this token." : null}
          autocomplete="off"
          autofocus
          mono
        />
        {error !== undefined && !unknown && <Fault error={error} />}
        <Button type="submit" kind={oidc === null ? "primary" : "plain"} busy={busy} disabled={token.trim() === ""}>
          Sign in
        </Button>
      </form>
      <p class="hint">
        <a href="/docs">Documentation</a>
        {config.data !== undefined && ` · Waypost ${config.data.version}`}
      </p>
    </main>
  );
}

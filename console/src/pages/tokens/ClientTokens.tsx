import { useState } from "preact/hooks";
import { api, url } from "../../api";
import { curl } from "../../lib/delivery/commands";
import type { MapRef } from "../../session";
import { Button, Code, confirm, Field, say, Section, Select } from "../../ui";

type By = "sub" | "jti";

/** Revokes client tokens. Nothing lists them: the server does not keep them. */
export function ClientTokens({ map }: { map: MapRef }) {
  const [by, setBy] = useState<By>("sub");
  const [text, setText] = useState("");
  const path = url`/api/maps/${map.id}/client-tokens/revoke`;
  const revoke = () =>
    confirm({
      title: by === "sub" ? `Revoke all tokens of ${text}` : `Revoke the token ${text}`,
      body: (
        <>
          <p>
            {by === "sub"
              ? "Client tokens about this user that were issued before now are refused."
              : "The client token with this id is refused."}{" "}
            Sockets that use one close within a second, on every node.
          </p>
          <Code text={curl("POST", path, { [by]: text })} label="The same with curl" />
        </>
      ),
      action: "Revoke",
      danger: true,
      act: async () => {
        await api.post(path, { [by]: text });
        say("Revoked");
        setText("");
      },
    }).catch(() => {});
  return (
    <Section title="Revoke client tokens" hint="Those that an issuer signed, by their user or by their id.">
      <form
        class="row row-bottom"
        onSubmit={(event) => {
          event.preventDefault();
          if (text !== "") revoke();
        }}
      >
        <Select<By>
          label="By"
          value={by}
          onChange={setBy}
          options={[
            { value: "sub", label: "User (sub)" },
            { value: "jti", label: "Token id (jti)" },
          ]}
        />
        <div class="search">
          <Field label={by === "sub" ? "User" : "Token id"} value={text} onInput={setText} maxLength={256} mono />
        </div>
        <Button type="submit" kind="danger" disabled={text === ""}>
          Revoke
        </Button>
      </form>
    </Section>
  );
}

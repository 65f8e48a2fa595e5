import { useState } from "preact/hooks";
import { api, ApiError, type Schemas } from "../../api";
import { href } from "../../router";
import { Button, Command, Dialog, Fault, Field, LinkButton, Secret, shell, useAction } from "../../ui";

type Created = Schemas["Map"] & { token: string };

/** Creates a map, and shows its first token. */
export function CreateMap({ onClose, onCreated }: { onClose(): void; onCreated(): void }) {
  const [slug, setSlug] = useState("");
  const [name, setName] = useState("");
  const [made, setMade] = useState<Created | null>(null);
  const { busy, error, run } = useAction();
  const bad = slug !== "" && !/^[a-z0-9][a-z0-9_-]{0,62}$/.test(slug);
  const taken = error instanceof ApiError && error.code === "slug_taken";
  const create = () =>
    run(async () => {
      const body = { slug: slug === "" ? null : slug, name: name === "" ? null : name };
      setMade((await api.post<{ data: Created }>("/api/maps", body)).data);
      onCreated();
    });
  if (made !== null) {
    const key = made.slug ?? made.id;
    return (
      <Dialog
        title="The map is made"
        firm
        onClose={onClose}
        actions={
          <>
            <Button onClick={onClose}>Close</Button>
            <LinkButton kind="primary" href={href(["maps", key, "overview"])}>
              {`Open ${key}`}
            </LinkButton>
          </>
        }
      >
        <Secret what="The map's first token, with all scopes" text={made.token} />
      </Dialog>
    );
  }
  const options = [slug !== "" && `--slug ${shell(slug)}`, name !== "" && `--name ${shell(name)}`].filter(Boolean);
  return (
    <Dialog
      title="Create a map"
      onClose={onClose}
      busy={busy}
      actions={
        <>
          <Button onClick={onClose} disabled={busy}>
            Cancel
          </Button>
          <Button kind="primary" busy={busy} disabled={bad} onClick={create}>
            Create
          </Button>
        </>
      }
    >
      <Field
        label="Slug"
        value={slug}
        onInput={setSlug}
        placeholder="orders"
        hint="A short name for addresses and commands. It can be changed later."
        fault={
          bad
            ? "Lower-case letters, digits, - and _, at most 63; a letter or digit first."
            : taken
              ? "Another map has it."
              : null
        }
        maxLength={63}
        mono
        autofocus
      />
      <Field label="Name" value={name} onInput={setName} hint="For people." maxLength={200} />
      <Command line={["waypost map create", ...options].join(" ")} />
      {!taken && <Fault error={error} />}
    </Dialog>
  );
}

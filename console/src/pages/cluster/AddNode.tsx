import { useState } from "preact/hooks";
import { api } from "../../api";
import { Button, Code, Command, Dialog, Fault, Field, Note, shell, useAction } from "../../ui";

interface Added {
  state?: "member" | "awaited";
  run?: string;
  name?: string | null;
}

/** Gives a new member its vote, or says how to start the node. */
export function AddNode() {
  const [open, setOpen] = useState(false);
  return (
    <>
      <Button icon="plus" onClick={() => setOpen(true)}>
        Add a node
      </Button>
      {open && <Add onClose={() => setOpen(false)} />}
    </>
  );
}

function Add({ onClose }: { onClose(): void }) {
  const [address, setAddress] = useState("");
  const [added, setAdded] = useState<Added | null>(null);
  const { busy, error, run } = useAction();
  const valid = /.+:\d+$/.test(address.trim());
  const add = () =>
    run(async () => setAdded((await api.post<{ data: Added }>("/api/cluster/add", { address: address.trim() })).data));
  return (
    <Dialog
      title="Add a node"
      onClose={onClose}
      onSubmit={() => {
        if (valid && !busy) add().catch(() => {});
      }}
      actions={
        <>
          <Button onClick={onClose}>Close</Button>
          <Button kind="primary" type="submit" busy={busy} disabled={!valid}>
            Add
          </Button>
        </>
      }
    >
      <Field
        label="Its peer address"
        value={address}
        onInput={setAddress}
        placeholder="10.0.0.4:7400"
        hint="host:port at which the other nodes will reach it. Nodes join by themselves; this gives a member its vote, or says how to start the node."
        mono
        autofocus
      />
      <Command line={`waypost cluster add ${shell(address.trim() || "HOST:PORT")}`} />
      <Fault error={error} />
      {added?.state === "member" && <Note tone="ok">It is a member{added.name ? `: ${added.name}` : ""}.</Note>}
      {added?.run !== undefined && (
        <Note>
          <p>It is not running yet. Start it there with:</p>
          <Code text={added.run} label="How to start it" />
        </Note>
      )}
    </Dialog>
  );
}

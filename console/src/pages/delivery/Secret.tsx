// A secret that the node shows once. It is kept by nothing but the dialog that shows it.
import { signal } from "@preact/signals";
import { Button, Code, Dialog, Note } from "../../ui";

interface Shown {
  title: string;
  secret: string;
  /** What to do with it. */
  note: string;
  closed(): void;
}

const shown = signal<Shown | null>(null);

/** Shows a secret. Returns when the dialog is closed; nothing has the secret afterwards. */
export function showSecret(title: string, secret: string, note: string): Promise<void> {
  return new Promise((resolve) => {
    shown.value = { title, secret, note, closed: resolve };
  });
}

/** Where secrets appear. It stands once on each page that shows some. */
export function Secrets() {
  const now = shown.value;
  if (now === null) return null;
  const close = () => {
    shown.value = null;
    now.closed();
  };
  return (
    <Dialog
      title={now.title}
      onClose={close}
      firm
      actions={
        <Button kind="primary" onClick={close}>
          I have stored it
        </Button>
      }
    >
      <Note tone="warn">This is the only time that it is shown.</Note>
      <Code text={now.secret} label="Secret" />
      <p>{now.note}</p>
    </Dialog>
  );
}

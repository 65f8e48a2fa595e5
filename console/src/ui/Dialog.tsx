import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Button } from "./Button";
import { coverPage } from "./cover";

export interface DialogProps {
  title: string;
  onClose(): void;
  children: ComponentChildren;
  /** The buttons, the one that does it last. */
  actions?: ComponentChildren;
  wide?: boolean;
  /** Only its own buttons close it, no Escape and no press outside: it shows what is never shown again. */
  firm?: boolean;
  /** What Enter in a field does, and the button of the type submit among the actions. */
  onSubmit?: () => void;
  /** Nothing closes it now: what comes of what runs is shown in it, and only there. */
  busy?: boolean;
}

/** A dialog over the page. The focus stays in it; Escape closes it, and the focus returns to where it was. */
export function Dialog(props: DialogProps): JSX.Element {
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  const pressed = useRef(false);
  const gone = useRef(false);
  const [held, setHeld] = useState(false);
  const close = () => {
    if (props.busy !== true) props.onClose();
  };
  /** Escape, or a press outside. */
  const leave = () => {
    if (props.firm === true) setHeld(true);
    else close();
  };
  useLayoutEffect(() => {
    const before = document.activeElement;
    const shown = dialog.current;
    shown?.showModal();
    const uncover = coverPage();
    return () => {
      gone.current = true;
      uncover();
      // While it is open, nothing outside can have the focus.
      shown?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus();
    };
  }, []);
  useEffect(() => {
    // What had the focus is gone: it goes on from the title, which is a new one.
    if (document.activeElement === document.body) document.getElementById(id)?.focus();
  }, [props.title]);
  return (
    <dialog
      ref={dialog}
      class={props.wide === true ? "dialog dialog-wide" : "dialog"}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        leave();
      }}
      // A browser lets a second Escape through, whatever was said to the first.
      onClose={() => {
        if (gone.current) return;
        if (props.busy === true || props.firm === true) dialog.current?.showModal();
        else props.onClose();
      }}
      // Whoever selects a text and lets go outside has not asked to close it.
      onPointerDown={(event) => {
        pressed.current = event.target === event.currentTarget;
      }}
      onClick={(event) => {
        if (pressed.current && event.target === event.currentTarget) leave();
      }}
    >
      <Inner onSubmit={props.onSubmit}>
        <div class="dialog-head">
          <h2 id={id} tabIndex={-1}>
            {props.title}
          </h2>
          {props.firm !== true && <Button kind="quiet" icon="close" label="Close" onClick={close} />}
        </div>
        <div class="dialog-body">{props.children}</div>
        <div role="status">
          {held && props.firm === true && (
            <p class="dialog-held">This is shown only now. Copy it; then close it with the button below.</p>
          )}
        </div>
        {props.actions !== undefined && <div class="dialog-foot">{props.actions}</div>}
      </Inner>
    </dialog>
  );
}

function Inner({ onSubmit, children }: { onSubmit: (() => void) | undefined; children: ComponentChildren }) {
  if (onSubmit === undefined) return <div class="dialog-inner">{children}</div>;
  return (
    <form
      class="dialog-inner"
      onSubmit={(event) => {
        event.preventDefault();
        onSubmit();
      }}
    >
      {children}
    </form>
  );
}

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useId, useLayoutEffect, useRef } from "preact/hooks";
import { Button } from "./Button";
import { coverPage } from "./cover";

export interface DialogProps {
  title: string;
  onClose(): void;
  children: ComponentChildren;
  /** The buttons, the one that does it last. */
  actions?: ComponentChildren;
  wide?: boolean;
  /** A press outside does not close it: it shows what is never shown again. */
  firm?: boolean;
  /** Nothing closes it now: what comes of what runs is shown in it, and only there. */
  busy?: boolean;
}

/** A dialog over the page. The focus stays in it; Escape closes it, and the focus returns to where it was. */
export function Dialog(props: DialogProps): JSX.Element {
  const id = useId();
  const dialog = useRef<HTMLDialogElement>(null);
  const pressed = useRef(false);
  const gone = useRef(false);
  const close = () => {
    if (props.busy !== true) props.onClose();
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
        close();
      }}
      // A browser lets a second Escape through, whatever was said to the first.
      onClose={() => {
        if (gone.current) return;
        if (props.busy === true) dialog.current?.showModal();
        else props.onClose();
      }}
      // Whoever selects a text and lets go outside has not asked to close it.
      onPointerDown={(event) => {
        pressed.current = event.target === event.currentTarget;
      }}
      onClick={(event) => {
        if (pressed.current && event.target === event.currentTarget && props.firm !== true) close();
      }}
    >
      <div class="dialog-inner">
        <div class="dialog-head">
          <h2 id={id} tabIndex={-1}>
            {props.title}
          </h2>
          <Button kind="quiet" icon="close" label="Close" onClick={close} />
        </div>
        <div class="dialog-body">{props.children}</div>
        {props.actions !== undefined && <div class="dialog-foot">{props.actions}</div>}
      </div>
    </dialog>
  );
}

// Tells the page around this one how tall it is, so that its frame can grow with it. It listens to no message.
import { heightMessage, parentOrigin } from "../lib/portal/link";

/** A frame is at least so tall: dialogs need the room. */
const LEAST = 480;

/** Posts the height of an element whenever it changes, to the page around this one alone. */
export function followHeight(element: HTMLElement): void {
  if (window.parent === window) return;
  const ancestors = location.ancestorOrigins as DOMStringList | undefined;
  const origin = parentOrigin(ancestors === undefined ? null : Array.from(ancestors), document.referrer);
  // Whom it is for is not known: then nobody gets it, and the frame keeps its height.
  if (origin === null) return;
  let last = 0;
  new ResizeObserver(() => {
    const message = heightMessage(Math.max(LEAST, element.getBoundingClientRect().height));
    if (message.height === last) return;
    last = message.height;
    window.parent.postMessage(message, origin);
  }).observe(element);
}

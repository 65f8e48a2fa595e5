// Keys that work wherever nothing is being typed. They can be switched off: who dictates, or hits keys by mistake, needs
// that (WCAG 2.1.4).
import { signal } from "@preact/signals";

const KEY = "waypost-shortcuts";

/** Whether single keys do something. */
export const shortcuts = signal<boolean>(stored());

export function switchShortcuts(use: boolean): void {
  shortcuts.value = use;
  try {
    localStorage.setItem(KEY, use ? "on" : "off");
  } catch {
    // The browser keeps nothing: the choice lasts as long as the page.
  }
}

function stored(): boolean {
  try {
    return localStorage.getItem(KEY) !== "off";
  } catch {
    return true;
  }
}

export interface Doing {
  /** The key after `g`. */
  go(key: string): void;
  help(): void;
  /** Where a page has no search of its own. */
  search(): void;
}

/** How long after `g` its second key may come, in milliseconds. */
const WITHIN = 1500;

/** Listens for shortcuts. Returns what ends that. */
export function listen(doing: Doing): () => void {
  let pressed = 0;
  const key = (event: KeyboardEvent) => {
    if (
      !shortcuts.peek() ||
      event.ctrlKey ||
      event.metaKey ||
      event.altKey ||
      event.defaultPrevented ||
      isTyping(event.target)
    )
      return;
    const second = Date.now() - pressed < WITHIN;
    pressed = 0;
    if (second && /^[a-z]$/.test(event.key)) {
      event.preventDefault();
      doing.go(event.key);
    } else if (event.key === "g") {
      pressed = Date.now();
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && isIdle(event.target)) {
      const row = document.querySelector<HTMLElement>('#main table.opens tbody tr[tabindex="0"]');
      if (row === null) return;
      event.preventDefault();
      row.focus();
    } else if (event.key === "?") {
      event.preventDefault();
      doing.help();
    } else if (event.key === "/") {
      event.preventDefault();
      const field = document.querySelector<HTMLInputElement>('#main input[type="search"]');
      if (field === null) doing.search();
      else field.focus();
    }
  };
  document.addEventListener("keydown", key);
  return () => document.removeEventListener("keydown", key);
}

/** Whether the focus is on nothing that does something itself: on the page, or on its title. */
function isIdle(target: EventTarget | null): boolean {
  return target === document.body || (target instanceof Element && target.matches("#main, #page-title"));
}

function isTyping(target: EventTarget | null): boolean {
  if (document.querySelector("dialog[open]") !== null) return true;
  return target instanceof Element && target.closest("input, textarea, select, [contenteditable=true]") !== null;
}

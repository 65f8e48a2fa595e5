import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
const KEY = "waypost-theme";

/** What the user chose. "system" follows the browser's own setting. */
export const theme = signal<Theme>(stored());

/** Begins to show the chosen theme. */
export function followTheme(): void {
  effect(() => {
    if (theme.value === "system") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme.value;
  });
}

export function choose(chosen: Theme): void {
  theme.value = chosen;
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // The browser keeps nothing: the choice lasts as long as the page.
  }
}

/** Whether it is dark now. */
export function isDark(): boolean {
  if (theme.value !== "system") return theme.value === "dark";
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

function stored(): Theme {
  try {
    const kept = localStorage.getItem(KEY);
    return kept === "light" || kept === "dark" ? kept : "system";
  } catch {
    return "system";
  }
}

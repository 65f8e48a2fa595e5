import type { ComponentChildren } from "preact";

/** Links to the parts of a page; the address says which is shown. */
export function LinkTabs(props: { label: string; tabs: readonly { href: string; title: string; current: boolean }[] }) {
  return (
    <nav class="tabs" aria-label={props.label}>
      {props.tabs.map((tab) => (
        <a key={tab.href} href={tab.href} class="tab" aria-current={tab.current ? "page" : undefined}>
          {tab.title}
        </a>
      ))}
    </nav>
  );
}

/** Parts of which one is shown. Arrow keys move between the tabs. */
export function Tabs<T extends string>(props: {
  label: string;
  tabs: readonly { key: T; title: string }[];
  current: T;
  onChange(key: T): void;
  children: ComponentChildren;
}) {
  const at = props.tabs.findIndex((tab) => tab.key === props.current);
  const keys = (event: KeyboardEvent) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const to = step === undefined ? undefined : props.tabs[(at + step + props.tabs.length) % props.tabs.length];
    if (to === undefined) return;
    event.preventDefault();
    props.onChange(to.key);
    const bar = event.currentTarget as HTMLElement;
    queueMicrotask(() => bar.querySelector<HTMLElement>(`[data-key="${CSS.escape(to.key)}"]`)?.focus());
  };
  return (
    <div>
      <div class="tabs" role="tablist" aria-label={props.label} onKeyDown={keys}>
        {props.tabs.map((tab) => (
          <button
            key={tab.key}
            type="button"
            role="tab"
            class="tab"
            data-key={tab.key}
            aria-selected={tab.key === props.current}
            tabIndex={tab.key === props.current ? 0 : -1}
            onClick={() => props.onChange(tab.key)}
          >
            {tab.title}
          </button>
        ))}
      </div>
      <div role="tabpanel" aria-label={props.tabs[at]?.title ?? props.label} class="tabpanel">
        {props.children}
      </div>
    </div>
  );
}

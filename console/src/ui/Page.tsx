import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

/** The head of a page: its name, what it is about, and what can be done. */
export function PageHead(props: { title: string; children?: ComponentChildren; actions?: ComponentChildren }) {
  const title = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    // The focus was on what is gone: it goes on from the new page's title.
    if (document.activeElement === document.body) title.current?.focus({ preventScroll: true });
  }, []);
  return (
    <header class="page-head">
      <div>
        <h1 ref={title} tabIndex={-1} id="page-title">
          {props.title}
        </h1>
        {props.children !== undefined && <p class="muted">{props.children}</p>}
      </div>
      {props.actions !== undefined && <div class="row">{props.actions}</div>}
    </header>
  );
}

/** A part of a page with a name. */
export function Section(props: {
  title: string;
  children: ComponentChildren;
  actions?: ComponentChildren;
  hint?: ComponentChildren;
}) {
  return (
    <section class="section">
      <div class="section-head">
        <h2>{props.title}</h2>
        {props.actions !== undefined && <div class="row">{props.actions}</div>}
      </div>
      {props.hint !== undefined && <p class="hint">{props.hint}</p>}
      {props.children}
    </section>
  );
}

export function Card({ children }: { children: ComponentChildren }) {
  return <div class="card">{children}</div>;
}

/** Names and values. */
export function Facts({ facts }: { facts: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

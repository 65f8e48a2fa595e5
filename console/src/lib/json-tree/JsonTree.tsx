// A JSON value as a tree that the keyboard walks, by the tree pattern of WAI-ARIA.
import type { JSX } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { Button } from "../../ui/Button";
import { CopyButton } from "../../ui/CopyButton";
import { firstOpen, moveOf, PAGE, rowsOf, SHORT, valueAt, type Json, type Move, type Row } from "./model";
import { celCondition, celPath } from "./path";

export interface JsonTreeProps {
  value: unknown;
  /** What the value is. It is read out. */
  label: string;
  /** Takes the condition of a filter that the value at the focused row meets. Without it there is no such button. */
  onFilter?: ((condition: string) => void) | undefined;
  /** Whether a path is shown as an expression of a filter sees it. Only for payloads. */
  paths?: boolean | undefined;
}

/** A JSON value as a tree. What is open stays open while the same value is given again. */
export function JsonTree(props: JsonTreeProps): JSX.Element {
  const text = useMemo(() => JSON.stringify(props.value) ?? "null", [props.value]);
  return <Tree key={text} {...props} text={text} />;
}

function Tree(props: JsonTreeProps & { text: string }) {
  const value = useMemo(() => JSON.parse(props.text) as Json, [props.text]);
  const [open, setOpen] = useState<ReadonlySet<string>>(() => firstOpen(value));
  const [counts, setCounts] = useState<ReadonlyMap<string, number>>(new Map());
  const [whole, setWhole] = useState<ReadonlySet<string>>(new Set());
  const [focus, setFocus] = useState("");
  const place = useRef<HTMLDivElement>(null);
  const rows = useMemo(() => rowsOf(value, { open, counts }), [value, open, counts]);
  const current = rows.find((row) => row.pointer === focus) ?? rows[0];

  const focusOn = (pointer: string) => {
    setFocus(pointer);
    // The row may only be there after the next drawing.
    requestAnimationFrame(() => {
      place.current?.querySelector<HTMLElement>(`[data-pointer="${CSS.escape(pointer)}"]`)?.focus();
    });
  };
  const act = (move: Move, byKey: boolean) => {
    const { toggle, openAll, more } = move;
    if (toggle !== undefined) setOpen((was) => changed(was, [toggle.pointer], toggle.open));
    if (openAll !== undefined) setOpen((was) => changed(was, openAll, true));
    if (more !== undefined) setCounts((was) => new Map(was).set(more, (was.get(more) ?? PAGE) + PAGE));
    if (byKey) focusOn(move.focus);
    else setFocus(move.focus);
  };
  const press = (row: Row, byKey: boolean) => {
    const move = moveOf(rows, row.pointer, "Enter");
    if (move !== null) act(move, byKey);
    else if (isLong(value, row)) setWhole((was) => changed(was, [row.pointer], !was.has(row.pointer)));
  };
  const keys = (event: KeyboardEvent) => {
    if (event.altKey || event.ctrlKey || event.metaKey || current === undefined) return;
    const isPress = event.key === "Enter" || event.key === " ";
    const move = isPress ? null : moveOf(rows, current.pointer, event.key);
    if (isPress) press(current, true);
    else if (move !== null) act(move, true);
    else return;
    event.preventDefault();
  };
  return (
    <div class="jt">
      <div ref={place} class="jt-rows" role="tree" aria-label={props.label} onKeyDown={keys}>
        {rows.map((row) => (
          <TreeRow
            key={row.pointer}
            row={row}
            current={row.pointer === current?.pointer}
            whole={whole.has(row.pointer) ? valueAt(value, row.pointer) : undefined}
            onFocus={() => setFocus(row.pointer)}
            onPress={() => press(row, false)}
          />
        ))}
      </div>
      {current !== undefined && current.kind !== "more" && (
        <Tools value={value} row={current} paths={props.paths === true} onFilter={props.onFilter} />
      )}
    </div>
  );
}

function changed(was: ReadonlySet<string>, pointers: readonly string[], add: boolean): Set<string> {
  const now = new Set(was);
  for (const pointer of pointers) {
    if (add) now.add(pointer);
    else now.delete(pointer);
  }
  return now;
}

function isLong(value: Json, row: Row): boolean {
  if (row.kind !== "string") return false;
  const text = valueAt(value, row.pointer);
  return typeof text === "string" && text.length > SHORT;
}

function TreeRow(props: {
  row: Row;
  current: boolean;
  /** The whole text, if it is to be shown. */
  whole: Json | undefined;
  onFocus(): void;
  onPress(): void;
}) {
  const { row } = props;
  const mark = row.open === null ? "" : row.open ? "▾" : "▸";
  return (
    <div
      class="jt-row"
      role="treeitem"
      data-pointer={row.pointer}
      style={{ "--depth": String(row.depth) }}
      tabIndex={props.current ? 0 : -1}
      aria-level={row.depth + 1}
      aria-setsize={row.siblings}
      aria-posinset={row.position}
      aria-expanded={row.open ?? undefined}
      aria-selected={props.current}
      onFocus={props.onFocus}
      onClick={() => getSelection()?.isCollapsed !== false && props.onPress()}
    >
      <span class="jt-mark" aria-hidden="true">
        {mark}
      </span>
      {row.name !== null && <span class="jt-name">{row.name}: </span>}
      <span class={`jt-${row.kind}`}>{props.whole === undefined ? shown(row) : JSON.stringify(props.whole)}</span>
    </div>
  );
}

function shown(row: Row): string {
  if (row.kind === "object") return row.size === 0 ? "{}" : `{ ${row.text} }`;
  if (row.kind === "array") return row.size === 0 ? "[]" : `[ ${row.text} ]`;
  return row.kind === "more" ? `${row.text} …` : row.text;
}

/** What can be done with the value of the focused row. */
function Tools(props: { value: Json; row: Row; paths: boolean; onFilter?: ((condition: string) => void) | undefined }) {
  const { value, row, onFilter } = props;
  const here = valueAt(value, row.pointer);
  const condition = onFilter === undefined ? null : celCondition(value, row.pointer);
  const text = typeof here === "string" ? here : JSON.stringify(here, null, 2);
  return (
    <div class="jt-tools">
      <code class="jt-path">{props.paths ? celPath(value, row.pointer) : row.pointer || "/"}</code>
      <CopyButton text={text} label="Copy this value" />
      {onFilter !== undefined && condition !== null && (
        <Button small kind="quiet" onClick={() => onFilter(condition)}>
          Filter by this value
        </Button>
      )}
    </div>
  );
}

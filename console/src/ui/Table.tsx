import type { ComponentChildren, JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { Button } from "./Button";
import { Empty, Fault, Loading } from "./State";

export interface Column<T> {
  key: string;
  title: string;
  cell(row: T): ComponentChildren;
  /** What the rows are sorted by when the title is pressed. Without it the column cannot be sorted. */
  sort?: (row: T) => string | number | null;
  align?: "end";
  /** Not shown on a phone. */
  wide?: boolean;
  /** Its cells stay on one line. */
  nowrap?: boolean;
  mono?: boolean;
}

export interface TableProps<T> {
  /** What the table is about. It is read out, and not shown. */
  caption: string;
  columns: readonly Column<T>[];
  rows: readonly T[] | undefined;
  rowKey(row: T): string;
  /** Opens a row: by Enter or a click anywhere in it. Put a link to the same into the first cell. */
  onOpen?: (row: T) => void;
  selected?: string | null;
  loading?: boolean;
  error?: unknown;
  retry?: () => void;
  /** What stands there when there are no rows. */
  empty: ComponentChildren;
  /** Rows that are shown at most: the first, in the order that is chosen. */
  most?: number;
  /** Shows more rows, if there are more. */
  more?: (() => void) | undefined;
}

/** A table. In its rows, arrow keys, Home and End move, and Enter opens. */
export function Table<T>(props: TableProps<T>): JSX.Element {
  const [order, setOrder] = useState<{ key: string; down: boolean } | null>(null);
  const [at, setAt] = useState(0);
  const body = useRef<HTMLTableSectionElement>(null);
  const { columns, rows = [], onOpen } = props;
  if (rows.length === 0) return <Nothing {...props} />;
  const by = order === null ? undefined : columns.find((c) => c.key === order.key)?.sort;
  const sorted = sort(rows, by, order?.down === true).slice(0, props.most ?? rows.length);
  const opens = onOpen !== undefined;
  const current = Math.min(at, sorted.length - 1);
  const keys = (event: KeyboardEvent, index: number, row: T) => {
    if (event.target !== event.currentTarget) return;
    const to = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: sorted.length - 1 }[event.key];
    if (event.key === "Enter") onOpen?.(row);
    else if (to !== undefined && to >= 0 && to < sorted.length) {
      setAt(to);
      (body.current?.rows[to] as HTMLElement | undefined)?.focus();
    } else if (to === undefined) return;
    event.preventDefault();
  };
  return (
    <div class="table-box" aria-busy={props.loading === true}>
      <Fault error={props.error} retry={props.retry} />
      <div class="table-scroll" role="group" aria-label={props.caption} tabIndex={0}>
        <table class={opens ? "table opens" : "table"}>
          <caption class="sr-only">{props.caption}</caption>
          <thead>
            <tr>
              {columns.map((column) => (
                <Title key={column.key} column={column} order={order} onOrder={setOrder} />
              ))}
            </tr>
          </thead>
          <tbody ref={body}>
            {sorted.map((row, index) => {
              const key = props.rowKey(row);
              return (
                <tr
                  key={key}
                  tabIndex={opens ? (index === current ? 0 : -1) : undefined}
                  class={props.selected === key ? "selected" : undefined}
                  onFocus={() => setAt(index)}
                  onKeyDown={opens ? (event) => keys(event, index, row) : undefined}
                  onClick={opens ? (event) => isFree(event) && onOpen(row) : undefined}
                >
                  {columns.map((column) => (
                    <td key={column.key} class={cellClass(column)}>
                      {column.cell(row)}
                    </td>
                  ))}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      {props.more !== undefined && (
        <div class="table-more">
          <Button onClick={props.more} busy={props.loading === true}>
            Show more
          </Button>
        </div>
      )}
    </div>
  );
}

function Nothing<T>(props: TableProps<T>) {
  if (props.error !== undefined && props.error !== null) {
    return <Fault error={props.error} retry={props.retry} />;
  }
  if (props.loading === true || props.rows === undefined) return <Loading />;
  return typeof props.empty === "string" ? <Empty title={props.empty} /> : <>{props.empty}</>;
}

interface Order {
  key: string;
  down: boolean;
}

function Title<T>(props: { column: Column<T>; order: Order | null; onOrder(order: Order | null): void }) {
  const { column, order } = props;
  const mine = order?.key === column.key ? order : null;
  const press = () => {
    if (mine === null) props.onOrder({ key: column.key, down: false });
    else props.onOrder(mine.down ? null : { key: column.key, down: true });
  };
  return (
    <th
      scope="col"
      class={cellClass(column)}
      aria-sort={mine === null ? undefined : mine.down ? "descending" : "ascending"}
    >
      {column.sort === undefined ? (
        column.title === "" ? (
          <span class="sr-only">Actions</span>
        ) : (
          column.title
        )
      ) : (
        <button type="button" class="sort" onClick={press}>
          {column.title}
          <span aria-hidden="true" class="sort-mark">
            {mine === null ? "" : mine.down ? "↓" : "↑"}
          </span>
        </button>
      )}
    </th>
  );
}

function cellClass<T>(column: Column<T>): string | undefined {
  const classes = [
    column.align === "end" && "end",
    column.wide === true && "wide",
    column.nowrap === true && "nowrap",
    column.mono === true && "mono",
  ];
  return classes.filter(Boolean).join(" ") || undefined;
}

function sort<T>(rows: readonly T[], by: Column<T>["sort"], down: boolean): readonly T[] {
  if (by === undefined) return rows;
  const compare = (a: T, b: T) => {
    const [x, y] = [by(a), by(b)];
    if (x === y) return 0;
    if (x === null) return 1;
    if (y === null) return -1;
    const less = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
    return down ? -less : less;
  };
  return [...rows].sort(compare);
}

/** Whether a click is on nothing that does something itself, and selects no text. */
function isFree(event: MouseEvent): boolean {
  const target = event.target as Element;
  return target.closest("a, button, input, select, label, summary") === null && getSelection()?.isCollapsed !== false;
}

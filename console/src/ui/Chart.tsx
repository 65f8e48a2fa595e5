// Lines or bars over time. What is drawn can also be read as a table.
import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { tickTexts, WHOLE } from "../lib/axis";
import { bytes, compact, stamp } from "./format";
import { isDark, theme } from "./theme";

export interface Series {
  label: string;
  /** One for each time. */
  values: readonly (number | null)[];
  /** It counts what went wrong, and is red. */
  bad?: boolean;
}

function classOf(one: Series, index: number): string {
  return one.bad === true ? "series-bad" : `series-${index % 4}`;
}

export interface ChartProps {
  title: string;
  /** Unix milliseconds, in order. */
  times: readonly number[];
  series: readonly Series[];
  kind?: "line" | "bars";
  /** How a value is written. With `bytes` the axis is one of sizes, with `compact` one of whole numbers. */
  format?: (value: number) => string;
  height?: number;
  /** The times are those of whole days in UTC. */
  days?: boolean;
}

/** Steps of an axis of bytes: powers of two. */
const BYTES = Array.from({ length: 50 }, (_, power) => 2 ** power);

export function Chart(props: ChartProps) {
  const { times, series, kind = "line", format = compact, height = 180, days = false } = props;
  const when = (at: number) => (days ? new Date(at).toISOString().slice(0, 10) : stamp(at).replace(/:00$/, ""));
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [at, setAt] = useState<number | null>(null);
  const [dark, setDark] = useState(isDark());
  const shape = JSON.stringify([kind, height, dark, days, series.map((one) => one.label)]);
  useEffect(() => {
    const media = matchMedia("(prefers-color-scheme: dark)");
    const change = () => setDark(isDark());
    const stop = theme.subscribe(change);
    media.addEventListener("change", change);
    return () => {
      stop();
      media.removeEventListener("change", change);
    };
  }, []);
  useEffect(() => {
    const box = place.current;
    if (box === null) return undefined;
    const width = () => Math.max(box.clientWidth, 100);
    const drawn = new uPlot(options(series, kind, format, height, width(), days, setAt), data(times, series), box);
    plot.current = drawn;
    const resized = new ResizeObserver(() => drawn.setSize({ width: width(), height }));
    resized.observe(box);
    return () => {
      resized.disconnect();
      drawn.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data(times, series)), [times, series]);
  const index = at !== null && at < times.length ? at : times.length - 1;
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{props.title}</span>
        <span class="chart-legend">
          {series.map((one, i) => (
            <span key={one.label} class={`chart-key ${classOf(one, i)}`}>
              {one.label}: {value(one.values[index], format)}
            </span>
          ))}
          {times[index] !== undefined && <span class="muted">{when(times[index])}</span>}
        </span>
      </figcaption>
      <div ref={place} class="chart-plot" aria-hidden="true" />
      <details class="chart-table">
        <summary>As a table</summary>
        <div class="table-scroll" tabIndex={0} role="group" aria-label={`${props.title}, as a table`}>
          <table class="table">
            <thead>
              <tr>
                <th scope="col">Time</th>
                {series.map((one) => (
                  <th scope="col" key={one.label} class="end">
                    {one.label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {times.map((time, i) => (
                <tr key={time}>
                  <td>{when(time)}</td>
                  {series.map((one) => (
                    <td key={one.label} class="end">
                      {value(one.values[i], format)}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

function value(of: number | null | undefined, format: (value: number) => string): string {
  return of === null || of === undefined ? "–" : format(of);
}

function data(times: readonly number[], series: readonly Series[]): uPlot.AlignedData {
  return [times.map((time) => time / 1000), ...series.map((one) => [...one.values])];
}

/** What stands below the ticks: times of 24 hours, with seconds between minutes, and the day where it begins. */
function timesOf(ticks: readonly number[], step: number, days: boolean): string[] {
  return ticks.map((seconds) => {
    const at = new Date(seconds * 1000);
    const text = days ? at.toISOString().slice(0, 19).replace("T", " ") : stamp(at.getTime());
    const [day, time] = [text.slice(5, 10), text.slice(11)];
    if (days || step >= 86_400 || time === "00:00:00") return day;
    return step < 60 ? time : time.slice(0, 5);
  });
}

function options(
  series: readonly Series[],
  kind: "line" | "bars",
  format: (value: number) => string,
  height: number,
  width: number,
  days: boolean,
  onHover: (index: number | null) => void,
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const probe = document.createElement("span");
  document.body.append(probe);
  const colour = (name: string) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  const [text, grid, bad] = [colour("--muted"), colour("--line"), colour("--bad")];
  const colours = [0, 1, 2, 3].map((i) => colour(`--series-${i}`));
  probe.remove();
  const font = `12px ${style.getPropertyValue("--sans")}`;
  const axis: uPlot.Axis = { stroke: text, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 } };
  const bars = uPlot.paths.bars?.({ size: [0.7, 40] });
  return {
    width,
    height,
    legend: { show: false },
    ...(days && { tzDate: (seconds: number) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC") }),
    cursor: { drag: { x: false, y: false }, points: { show: kind === "line" } },
    scales: { y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] } },
    axes: [
      { ...axis, size: 32, space: 72, values: (_plot, ticks, _axis, _space, step) => timesOf(ticks, step, days) },
      {
        ...axis,
        size: 64,
        ...(format === bytes ? { incrs: BYTES } : format === compact && { incrs: WHOLE }),
        values: (_plot, ticks) => tickTexts(ticks, format === bytes ? "bytes" : "count"),
      },
    ],
    series: [
      {},
      ...series.map((one, i): uPlot.Series => {
        const stroke = one.bad === true ? bad : (colours[i % 4] ?? text);
        const line: uPlot.Series = { label: one.label, stroke, width: 1.5, points: { show: false } };
        return kind === "bars" && bars !== undefined ? { ...line, width: 0, fill: stroke, paths: bars } : line;
      }),
    ],
    hooks: { setCursor: [(plot) => onHover(plot.cursor.idx ?? null)] },
  };
}

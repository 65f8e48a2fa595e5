const PATHS = {
  search: "M11 11l4 4M7 12A5 5 0 1 1 7 2a5 5 0 0 1 0 10z",
  copy: "M6 6h8v8H6zM10 6V2H2v8h4",
  check: "M2.5 8.5l3.5 3.5 7.5-8",
  close: "M3 3l10 10M13 3L3 13",
  down: "M3 6l5 5 5-5",
  right: "M6 3l5 5-5 5",
  menu: "M2 4h12M2 8h12M2 12h12",
  play: "M4 2.5v11l9-5.5z",
  pause: "M5 3v10M11 3v10",
  plus: "M8 2v12M2 8h12",
  out: "M9 2h5v5M14 2L7 9M12 9v5H2V4h5",
  sun: "M8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.4 1.4M11.6 11.6L13 13M13 3l-1.4 1.4M4.4 11.6L3 13M8 11a3 3 0 1 1 0-6 3 3 0 0 1 0 6z",
  moon: "M14 9.5A6.5 6.5 0 0 1 6.5 2a6 6 0 1 0 7.500 7.500z",
  alert: "M8 5.500v4M8 11.500v.500M8 1.500l7 12.500H1z",
} as const;

export type IconName = keyof typeof PATHS;

/** A picture that only repeats what the text beside it says. */
export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}

// A live tail as a command.

import { shellWord } from "./literals";

/** What a tail shows. Empty fields are left out, but for `subjects`: empty is the map's own subject. */
export interface Tail {
  origin: string;
  map: string;
  subjects: string;
  events: string;
  filter: string;
}

/** A word behind an option of the command line; one that begins with a dash would be taken for an option. */
function option(name: string, value: string): string {
  return value.startsWith("-") ? shellWord(`--${name}=${value}`) : `--${name} ${shellWord(value)}`;
}

/** The tail as a command of Waypost's own command line. */
export function tailAsCommand(tail: Tail): string {
  const options = [
    ...(tail.subjects === "" ? [] : [option("subjects", tail.subjects)]),
    ...(tail.events === "" ? [] : [option("events", tail.events)]),
    ...(tail.filter === "" ? [] : [option("filter", tail.filter)]),
  ];
  return ["waypost tail", shellWord(tail.map), ...options].join(" ");
}

/** The tail as a command of curl. */
export function tailAsCurl(tail: Tail): string {
  const given: [string, string][] = [
    ["subjects", tail.subjects],
    ["events", tail.events],
    ["filter", tail.filter],
  ];
  const query = given
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
    .join("&");
  const path = `${tail.origin}/api/maps/${encodeURIComponent(tail.map)}/events/stream`;
  const address = query === "" ? path : `${path}?${query}`;
  return `curl -sSN -g ${shellWord(address)} -H "Authorization: Bearer $TOKEN"\n`;
}

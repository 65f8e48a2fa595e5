// A channel rule as it stands in fields, and back.
import type { Schemas } from "../../api";

export type ChannelRule = Schemas["ChannelRule"];

/** Three answers: nothing is said, yes, no. */
export type Open = "" | "yes" | "no";

export interface Draft {
  /** Tells drafts apart while they are moved. */
  id: number;
  match: string;
  durability: "" | "durable" | "ephemeral";
  events: string;
  seconds: string;
  bytes: string;
  clientEvents: Open;
  presence: Open;
  membersMax: string;
  join: "" | "anyone" | "token" | "signature";
}

export function fromRule(rule: ChannelRule): Draft {
  const text = (value: number | null | undefined) => (value == null ? "" : String(value));
  const open = (value: boolean | null | undefined): Open => (value == null ? "" : value ? "yes" : "no");
  return {
    id: 0,
    match: rule.match,
    durability: rule.durability ?? "",
    events: text(rule.history?.events),
    seconds: text(rule.history?.seconds),
    bytes: text(rule.history?.bytes),
    clientEvents: open(rule.client_events),
    presence: open(rule.presence),
    membersMax: text(rule.members_max),
    join: rule.join ?? "",
  };
}

/** The rule that is sent, and what is wrong with the fields. What is left open is left out. */
export function toRule(draft: Draft): { rule: ChannelRule; faults: Record<string, string> } {
  const faults: Record<string, string> = {};
  const rule: ChannelRule = { match: draft.match.trim() };
  if (rule.match === "") faults["match"] = "A subject, or a pattern with *.";
  else if (!/^[$]?[A-Za-z0-9_=@,.;:/#*-]*$/.test(rule.match))
    faults["match"] = "It has a character that subjects lack.";
  const number = (name: "events" | "seconds" | "bytes" | "membersMax") => {
    const text = draft[name].trim();
    if (text === "") return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1) faults[name] = "A whole number of 1 or more.";
    return value;
  };
  if (draft.durability !== "") rule.durability = draft.durability;
  const history = { events: number("events"), seconds: number("seconds"), bytes: number("bytes") };
  if (Object.values(history).some((one) => one !== undefined)) rule.history = history;
  if (draft.clientEvents !== "") rule.client_events = draft.clientEvents === "yes";
  if (draft.presence !== "") rule.presence = draft.presence === "yes";
  const members = number("membersMax");
  if (members !== undefined) rule.members_max = members;
  if (draft.join !== "") rule.join = draft.join;
  return { rule, faults };
}

/** Whether a pattern matches a subject: `*` stands for any characters. */
export function isMatch(pattern: string, subject: string): boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "s").test(subject);
}

/** What the prefixes of names say, as docs/concepts/channels.md has it. The first that fits counts. */
const PREFIXES: readonly [string, string][] = [
  ["$channel/", "its events are those of a channel's life, and are stored"],
  ["private-", "its events are sent and never stored, and a Pusher client needs a signature to join"],
  [
    "presence-",
    "its events are sent and never stored, a Pusher client needs a signature to join, and members see each other",
  ],
  ["cache-", "its events are sent and never stored, but for the last one, which a Pusher client gets when it joins"],
  ["#server-to-user-", "its events are sent to the user who has signed in, and never stored"],
];

/** What holds for a subject for which no rule counts: its name decides. */
export function nameDecides(subject: string): string {
  const found = PREFIXES.find(([prefix]) => subject.startsWith(prefix));
  const what = found?.[1] ?? "its events are stored, and a Pusher client joins with nothing but its key";
  return `Its name decides: ${what}.`;
}

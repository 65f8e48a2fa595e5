// How the webhooks and consumers of a map stand, from how many are in which state.
import type { Schemas } from "../../api";
import { counted } from "../words";

export type WebhookStandings = Schemas["WebhookStandings"];
export type ConsumerStandings = Schemas["ConsumerStandings"];

/** The counts of a map, or of all maps; null while they are not known. */
export interface Standings {
  webhooks: WebhookStandings | null;
  consumers: ConsumerStandings | null;
}

/** So many are in a state that is worth a look. */
export interface Trouble {
  of: "webhooks" | "consumers";
  count: number;
  /** As in `1 webhook fails`. */
  text: string;
  tone: "bad" | "warn";
}

interface Words {
  tone: Trouble["tone"];
  one: string;
  several: string;
}

/** The states that are worth a look, the worst first. */
const WEBHOOKS: readonly (readonly [keyof WebhookStandings, Words])[] = [
  ["losing", { tone: "bad", one: "loses events", several: "lose events" }],
  ["disabled", { tone: "bad", one: "is disabled", several: "are disabled" }],
  ["failing", { tone: "bad", one: "fails", several: "fail" }],
  ["throttled", { tone: "warn", one: "waits", several: "wait" }],
  ["behind", { tone: "warn", one: "is behind", several: "are behind" }],
];
const CONSUMERS: readonly (readonly [keyof ConsumerStandings, Words])[] = [
  ["losing", { tone: "bad", one: "loses events", several: "lose events" }],
  ["unread", { tone: "bad", one: "is not read", several: "are not read" }],
  ["behind", { tone: "warn", one: "is behind", several: "are behind" }],
];

/** What is worth a look, the worst first. */
export function troublesOf({ webhooks, consumers }: Standings): Trouble[] {
  const told = (of: Trouble["of"], one: string, count: number, words: Words): Trouble[] =>
    count === 0
      ? []
      : [{ of, count, tone: words.tone, text: `${counted(count, one)} ${count === 1 ? words.one : words.several}` }];
  const all = [
    ...(webhooks === null
      ? []
      : WEBHOOKS.flatMap(([state, words]) => told("webhooks", "webhook", webhooks[state], words))),
    ...(consumers === null
      ? []
      : CONSUMERS.flatMap(([state, words]) => told("consumers", "consumer", consumers[state], words))),
  ];
  return [...all.filter(({ tone }) => tone === "bad"), ...all.filter(({ tone }) => tone === "warn")];
}

/** By what a list is sorted: what is worst first. What is not known comes last. */
export function rankOf(standings: Standings | null): number {
  if (standings === null || (standings.webhooks === null && standings.consumers === null)) return 3;
  const troubles = troublesOf(standings);
  if (troubles.length === 0) return 2;
  return troubles[0]?.tone === "bad" ? 0 : 1;
}

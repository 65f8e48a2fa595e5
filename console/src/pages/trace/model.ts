// What became of an event: its stages, what each node did, and how its deliveries went.

import { classWords } from "../../lib/delivery/state";
import { durationText, microsOf } from "../../lib/history/time";
import { counted } from "../../lib/words";

export interface NodeRef {
  id: number;
  name: string | null;
}

/** A webhook or a consumer. */
export interface Receiver {
  id: string;
  name: string | null;
}

/** One step, as the API answers. Its members depend on its kind; a kind that is not known is shown as it is. */
export interface Step {
  at: string | null;
  node: NodeRef | null;
  kind: string;
  by?: string | null;
  protocol?: string | null;
  proposal?: string | null;
  log_index?: number;
  sockets?: number;
  slowest_us?: number | null;
  waiting?: number;
  webhook?: Receiver;
  consumer?: Receiver;
  attempt?: number;
  status?: number | null;
  class?: string;
  error?: string | null;
  outcome?: string;
  duration_ms?: number | null;
  /** Why it waits. */
  reason?: string;
  next_attempt_at?: string | null;
  /** How many events come before it. */
  ahead?: number;
}

/** A webhook or a consumer that does not get the event. */
export interface NotChosen {
  webhook?: Receiver;
  consumer?: Receiver;
  /** Why, in words. */
  why: string;
}

export interface Trace {
  event: { id: string; seq: number | null; subject: string | null; type: string; ts: string } | null;
  steps: Step[];
  /** Absent in the answer of an earlier release. */
  not_chosen?: NotChosen[];
  /** Sentences about what is no longer known. */
  gone: string[];
  unreachable: NodeRef[];
}

export type Tone = "ok" | "warn" | "bad" | "info" | "off";

/** A part of the way of an event. */
export interface Stage {
  key: string;
  title: string;
  tone: Tone;
  /** What happened, in short. */
  text: string;
  /** Microseconds from the first step to the last one of this stage; `null` if that is not known. */
  until: number | null;
  /** Microseconds that this stage took after the one before it. */
  took: number | null;
}

/** What one node did, in the order in which it did it. */
export interface Lane {
  node: NodeRef;
  /** Whether it gave no answer when it was asked. */
  isSilent?: boolean;
  marks: { kind: string; title: string; text: string; at: string | null; after: number | null; share: number | null }[];
}

/** How an event went to one webhook or consumer. */
export interface Delivery {
  kind: "webhook" | "consumer";
  receiver: Receiver;
  tone: Tone;
  state: string;
  steps: { step: Step; title: string; text: string; tone: Tone; after: number | null }[];
}

const TITLES: Record<string, string> = {
  received: "Published",
  proposed: "Proposed",
  committed: "Committed",
  applied: "Applied",
  delivered: "To sockets",
  attempt: "Attempt",
  acknowledged: "Acknowledged",
  dead_letter: "Dead letter",
  pending: "Waits",
};
/** The steps that a node takes before webhooks and consumers. */
const ON_NODES = new Set(["received", "proposed", "committed", "applied", "delivered"]);

/** What a kind of step is called. A kind of a newer release has its own name. */
export function titleOf(kind: string): string {
  return TITLES[kind] ?? kind.replaceAll("_", " ");
}

export function nodeName(node: NodeRef | null): string {
  return node === null ? "" : (node.name ?? `node ${node.id}`);
}

export function receiverName(receiver: Receiver): string {
  return receiver.name || receiver.id;
}

function timeOf(step: Step): number | null {
  return step.at === null ? null : microsOf(step.at);
}

/** The time of the first step, in microseconds; `null` if no step has one. */
export function beginOf(trace: Trace): number | null {
  const times = trace.steps.map(timeOf).filter((time) => time !== null);
  return times.length === 0 ? null : Math.min(...times);
}

/** The stages of which something is known, in order. */
export function stagesOf(trace: Trace): Stage[] {
  const begin = beginOf(trace);
  const stages: Stage[] = [];
  const add = (key: string, steps: Step[], tone: Tone, text: string, took: number | null) => {
    if (steps.length === 0) return;
    const end = lastOf(steps);
    const until = end === null || begin === null ? null : end - begin;
    stages.push({ key, title: STAGES[key] ?? key, tone, text, until, took });
  };
  const of = (kind: string) => trace.steps.filter((step) => step.kind === kind);
  const [received, proposed, committed] = [of("received"), of("proposed"), of("committed")];
  const [applied, sent] = [of("applied"), of("delivered")];
  const nodes = new Set(applied.map((step) => step.node?.id)).size;
  const times = proposed.length > 1 ? `${proposed.length} times` : "to the leader";
  add("received", received, "ok", received.map((step) => nodeName(step.node)).join(", "), null);
  add("proposed", proposed, "ok", times, between(received, proposed));
  add("committed", committed, "ok", indexText(committed), between(proposed, committed));
  add("applied", applied, "ok", `by ${counted(nodes, "node")}`, between(committed, applied));
  add("delivered", sent, socketsTone(sent), socketsText(sent), slowestOf(applied, sent));
  for (const kind of ["webhook", "consumer"] as const) {
    const deliveries = deliveriesOf(trace).filter((delivery) => delivery.kind === kind);
    const steps = deliveries.flatMap((delivery) => delivery.steps.map(({ step }) => step));
    const tone = worst(deliveries.map((delivery) => delivery.tone));
    // They follow nothing but the commit, and go on for long: how long after it they were done is enough.
    add(kind, steps, tone, statesText(deliveries), null);
  }
  return stages;
}

function lastOf(steps: readonly Step[]): number | null {
  const times = steps.map(timeOf).filter((time) => time !== null);
  return times.length === 0 ? null : Math.max(...times);
}

/** The time from the end of one stage to the end of the next one. */
function between(former: readonly Step[], steps: readonly Step[]): number | null {
  const [from, to] = [lastOf(former), lastOf(steps)];
  return from === null || to === null ? null : to - from;
}

/** The longest time that a node took from its apply to its sockets. */
function slowestOf(applied: readonly Step[], sent: readonly Step[]): number | null {
  const took = sent.map((step) => {
    return between(
      applied.filter((one) => one.node?.id === step.node?.id),
      [step],
    );
  });
  const known = took.filter((one) => one !== null);
  return known.length === 0 ? null : Math.max(...known);
}

const STAGES: Record<string, string> = { ...TITLES, webhook: "Webhooks", consumer: "Consumers" };

function indexText(committed: Step[]): string {
  const index = committed.find((step) => step.log_index !== undefined)?.log_index;
  return index === undefined ? "by a majority" : `log index ${index}`;
}

function sum(steps: Step[], of: (step: Step) => number | undefined): number {
  return steps.reduce((total, step) => total + (of(step) ?? 0), 0);
}

function socketsTone(sent: Step[]): Tone {
  return sum(sent, (step) => step.waiting) > 0 ? "warn" : "ok";
}

function socketsText(sent: Step[]): string {
  const waiting = sum(sent, (step) => step.waiting);
  const slowest = Math.max(0, ...sent.map((step) => step.slowest_us ?? 0));
  const sockets = sum(sent, (step) => step.sockets);
  const parts = [`handed to ${counted(sockets, "socket's queue", "sockets' queues")}`];
  if (slowest > 0) parts.push(`the slowest after ${durationText(slowest)}`);
  if (waiting > 0) parts.push(`${waiting.toLocaleString("en")} still waiting`);
  return parts.join(", ");
}

function worst(tones: Tone[]): Tone {
  const order: Tone[] = ["bad", "warn", "info", "ok"];
  return order.find((tone) => tones.includes(tone)) ?? "off";
}

function statesText(deliveries: Delivery[]): string {
  const counts = new Map<string, number>();
  for (const { state } of deliveries) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts].map(([state, count]) => `${count} ${state}`).join(", ");
}

/** What each node did, by the time of its first step. */
export function lanesOf(trace: Trace, nameOf = plain): Lane[] {
  const begin = beginOf(trace);
  const steps = trace.steps.filter((step) => ON_NODES.has(step.kind) && step.node !== null);
  const times = steps.map(timeOf).filter((time) => time !== null);
  const span = begin === null || times.length === 0 ? 0 : Math.max(...times) - begin;
  const lanes = new Map<number, Lane>();
  for (const step of steps) {
    if (step.node === null) continue;
    const lane = lanes.get(step.node.id) ?? { node: step.node, marks: [] };
    lanes.set(step.node.id, lane);
    const time = timeOf(step);
    const after = time === null || begin === null ? null : time - begin;
    const share = after === null ? null : span === 0 ? 0 : after / span;
    lane.marks.push({
      kind: step.kind,
      title: titleOf(step.kind),
      text: detailOf(step, nameOf),
      at: step.at,
      after,
      share,
    });
  }
  // A node that gave no answer has a lane too: what it did is not known.
  for (const node of trace.unreachable) {
    const lane = lanes.get(node.id) ?? { node, marks: [] };
    lanes.set(node.id, { ...lane, isSilent: true });
  }
  return [...lanes.values()];
}

const plain = (id: string): string => id;

/** A protocol as people write it. */
function protocolName(name: string): string {
  const known: Record<string, string> = {
    rest: "REST",
    http: "HTTP",
    phoenix: "Phoenix",
    pusher: "Pusher",
    ingest: "ingest",
  };
  return known[name] ?? name;
}

/** What a step says beside its time. `nameOf` says a token in words. */
export function detailOf(step: Step, nameOf = plain): string {
  switch (step.kind) {
    case "received": {
      const by = step.by === undefined ? "" : step.by === null ? "by the admin" : `with token "${nameOf(step.by)}"`;
      const over = step.protocol ? `over ${protocolName(step.protocol)}` : "";
      const at = step.node === null ? "" : `at ${nodeName(step.node)}`;
      return [by, over, at].filter((part) => part !== "").join(" ");
    }
    case "proposed":
      return step.proposal ?? "";
    case "committed":
      return step.log_index === undefined ? "" : `log index ${step.log_index}`;
    case "delivered":
      return socketsText([step]);
    case "attempt": {
      return `${answerOf(step)}${attemptTook(step)}${whyOf(step)}`;
    }
    case "pending":
      return waitsText(step);
    default:
      return "";
  }
}

/** How long an attempt took. It is known to the millisecond. */
function attemptTook(step: Step): string {
  const ms = step.duration_ms;
  if (ms === null || ms === undefined) return "";
  return ` ${isAnswered(step) ? "in" : "after"} ${ms === 0 ? "less than 1 ms" : durationText(ms * 1000)}`;
}

function isAnswered(step: Step): boolean {
  return step.status !== null && step.status !== undefined;
}

/** What the receiver answered, or why there is no answer. */
function answerOf(step: Step): string {
  if (isAnswered(step)) return `status ${step.status}`;
  return step.class === undefined || step.class === "delivered" ? "no answer" : classWords(step.class);
}

/** What else is known of why an attempt failed: the status alone is not said twice. */
function whyOf(step: Step): string {
  const said = (step.error ?? "").replace(new RegExp(`^(status|answered) ${step.status}(; )?`), "").trim();
  return said === "" ? "" : `: ${said}`;
}

/** Why an event waits; the time of the next attempt stands beside it. */
export function waitsText(step: Step): string {
  const ahead = step.ahead ?? 0;
  const before = ahead === 0 ? "" : `${counted(ahead, "event comes", "events come")} before it`;
  switch (step.reason) {
    case undefined:
      return "";
    case "paused":
      return "the webhook is paused";
    case "disabled":
      return "the webhook was disabled, because it failed for too long";
    case "retry":
      return "it failed, and is tried again";
    case "order":
      return "an earlier event of its key is not delivered yet";
    case "pause":
      return "the receiver asked for a pause";
    case "unread":
      return `no reader has acknowledged it${before === "" ? "" : `; ${before}`}`;
    case "behind":
      return before;
    case "next":
      return "it is the next one";
    default:
      return step.reason.replaceAll("_", " ");
  }
}

/** The page of a webhook or a consumer. */
export function pathOf(map: string, kind: "webhook" | "consumer", receiver: Receiver): string[] {
  return ["maps", map, `${kind}s`, kind === "webhook" ? receiver.id : receiverName(receiver)];
}

/** The webhooks and consumers that do not get the event, by their names. */
export function notChosenOf(trace: Trace): { kind: "webhook" | "consumer"; receiver: Receiver; why: string }[] {
  return (trace.not_chosen ?? []).flatMap(({ webhook, consumer, why }) => {
    const receiver = webhook ?? consumer;
    return receiver === undefined ? [] : [{ kind: webhook === undefined ? "consumer" : "webhook", receiver, why }];
  });
}

/** How the event went to each webhook and consumer. */
export function deliveriesOf(trace: Trace): Delivery[] {
  const begin = beginOf(trace);
  const deliveries = new Map<string, Delivery>();
  for (const step of trace.steps) {
    const kind = step.webhook !== undefined ? "webhook" : "consumer";
    const receiver = step.webhook ?? step.consumer;
    if (receiver === undefined) continue;
    const key = `${kind} ${receiver.id}`;
    const delivery = deliveries.get(key) ?? { kind, receiver, tone: "off", state: "", steps: [] };
    deliveries.set(key, delivery);
    const time = timeOf(step);
    const after = time === null || begin === null ? null : time - begin;
    const title = step.kind === "attempt" ? `Attempt ${step.attempt ?? ""}`.trim() : titleOf(step.kind);
    delivery.steps.push({ step, title, text: detailOf(step), tone: toneOf(step), after });
  }
  for (const delivery of deliveries.values()) {
    // Attempts of several nodes may come out of order; steps without a time, such as what waits, are the last.
    delivery.steps.sort((a, b) => (a.after ?? Infinity) - (b.after ?? Infinity) || 0);
    Object.assign(delivery, endOf(delivery.steps.map(({ step }) => step)));
  }
  return [...deliveries.values()];
}

function toneOf(step: Step): Tone {
  if (step.kind === "acknowledged" || step.outcome === "delivered") return "ok";
  if (step.kind === "dead_letter" || step.outcome === "gave_up") return "bad";
  return step.kind === "attempt" ? "warn" : "info";
}

/** The state that the steps of a delivery end in. A dead letter that was delivered again is delivered. */
function endOf(steps: Step[]): { tone: Tone; state: string } {
  const last = steps.findLast((step) => step.kind !== "pending");
  const waits = steps.some((step) => step.kind === "pending");
  if (last?.kind === "acknowledged") return { tone: "ok", state: "acknowledged" };
  if (last?.outcome === "delivered") return { tone: "ok", state: "delivered" };
  if (last?.kind === "dead_letter" || last?.outcome === "gave_up") return { tone: "bad", state: "given up" };
  if (last?.kind === "attempt") return { tone: "warn", state: waits ? "failed, tried again" : "failed" };
  return { tone: "info", state: "waiting" };
}

/** Whether something may still happen to the event, so that the page looks again. */
export function isOpen(trace: Trace, now: number): boolean {
  const young = trace.event !== null && now - Date.parse(trace.event.ts) < 60_000;
  return young || trace.steps.some((step) => step.kind === "pending");
}

/** Whether a step seems to come before one that it follows: clocks are apart, or a node noted one a moment late. */
export function clocksApart(trace: Trace): boolean {
  const committed = lastOf(trace.steps.filter((step) => step.kind === "committed"));
  const early = trace.steps.some((step) => {
    const time = timeOf(step);
    const follows = !["received", "proposed", "committed"].includes(step.kind);
    return follows && time !== null && committed !== null && time < committed;
  });
  return early || stagesOf(trace).some((stage) => stage.took !== null && stage.took < 0);
}

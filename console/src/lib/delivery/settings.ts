// The settings of webhooks and consumers, as forms: the usual ones first. docs/openapi.yaml has their bounds.
import type { Choice, Group, Values } from "./fields";

const none = (label: string): Choice => ({ value: "", label });

/** Objects that the API replaces as a whole. */
export const WHOLE: readonly string[] = ["filter", "rate_limit", "batch", "lambda"];

export const PROFILES: readonly Choice[] = [
  { value: "standard", label: "standard: the event, signed as Standard Webhooks" },
  { value: "discord", label: "discord: a message in a channel" },
  { value: "slack", label: "slack: a message in a channel" },
  { value: "template", label: "template: a body of your own" },
  { value: "envelope", label: "envelope: event, timestamp, data" },
  { value: "pusher", label: "pusher: as Pusher sends them" },
  { value: "broadcasting", label: "broadcasting: as Laravel services send them" },
  { value: "wanderer", label: "wanderer: the event, signed as Wanderer does" },
];

const CHANNEL_TYPES: readonly Choice[] = [
  none("any kind"),
  { value: "map", label: "the map's own subject" },
  { value: "public", label: "public subjects" },
  { value: "private", label: "private-… subjects" },
  { value: "presence", label: "presence-… subjects" },
];

const ORDERINGS: readonly Choice[] = [
  { value: "none", label: "none: each event for itself" },
  { value: "key", label: "key: events of the same key wait for each other" },
  { value: "strict", label: "strict: each event waits for the one before it" },
];

const yesNo = (unset: string): readonly Choice[] => [
  none(unset),
  { value: "true", label: "yes" },
  { value: "false", label: "no" },
];

const isTemplate = (values: Values) => values["profile"] === "template";
const isKeyed = (values: Values) => values["ordering"] === "key";

const SUBJECTS = {
  title: "Which subjects",
  note: "Without any of these, only the events of the map's own subject are chosen.",
  fields: [
    {
      path: "filter.subjects",
      label: "Subjects",
      kind: "list",
      placeholder: "orders-7, chat-*",
      help: "Names and patterns, with commas. * stands for any characters; * alone for all subjects.",
    },
    { path: "filter.channel_type", label: "Kind of subject", kind: "choice", choices: CHANNEL_TYPES },
    { path: "filter.channel_prefix", label: "Beginning of the subject", kind: "text", placeholder: "private-orders-" },
  ],
} as const satisfies Group;

const EVENTS = {
  path: "events",
  label: "Event types",
  kind: "list",
  placeholder: "*",
  emptied: "*",
  help: "Types and patterns, with commas, as in order.paid, order.*. Empty: all types.",
} as const;

const EXPRESSION = {
  path: "filter.expression",
  label: "Only if",
  kind: "cel",
  placeholder: "payload.value > 1e9",
  help: "An expression in CEL over type, subject, id, seq, ts, payload and source. Empty: no condition.",
} as const;

const ORDERING_KEY = {
  path: "ordering_key",
  label: "Key",
  kind: "cel",
  placeholder: "payload.order_id",
  shown: isKeyed,
} as const;

const usual: Group = {
  title: "The usual",
  open: true,
  fields: [
    { path: "name", label: "Name", kind: "text", placeholder: "orders to billing" },
    {
      path: "url",
      label: "URL",
      kind: "text",
      placeholder: "https://example.com/hook",
      help: "Where the requests go: https or http. The address of a chat is a secret and is not shown again in full.",
    },
    { path: "profile", label: "Profile: the form of the requests", kind: "choice", choices: PROFILES },
    EVENTS,
    EXPRESSION,
  ],
};

/** The title of the group that has the template. */
export const TEMPLATE = "Template";

/** Whether a form asks for a template that is not typed yet. */
export function lacksTemplate(values: Values): boolean {
  return isTemplate(values) && (values["template"] ?? "").trim() === "";
}

const template: Group = {
  title: TEMPLATE,
  note: "For the profile “template”: a JSON document, or a text, with expressions in ${…}.",
  open: true,
  fields: [
    {
      path: "template",
      label: "Template",
      kind: "code",
      shown: isTemplate,
      placeholder: '{"text": "${payload.name}"}',
    },
    { path: "content_type", label: "Media type", kind: "text", placeholder: "application/json", shown: isTemplate },
  ],
};

const order: Group = {
  title: "Order, pace and batches",
  fields: [
    { path: "ordering", label: "Order", kind: "choice", choices: ORDERINGS },
    ORDERING_KEY,
    {
      path: "rate_limit.requests",
      label: "Most requests",
      kind: "number",
      min: 1,
      max: 10_000,
      help: "Empty: no bound.",
    },
    {
      path: "rate_limit.period_ms",
      label: "in any",
      kind: "number",
      unit: "ms",
      min: 1,
      max: 3_600_000,
      placeholder: "1000",
    },
    { path: "batch.max", label: "Most events in a request", kind: "number", min: 2, max: 1000, help: "Empty: one." },
    {
      path: "batch.duration_ms",
      label: "Wait for more events",
      kind: "number",
      unit: "ms",
      min: 0,
      max: 60_000,
      placeholder: "0",
    },
  ],
};

const retries: Group = {
  title: "Retries and time limits",
  note: "What is empty has the usual value of the profile.",
  fields: [
    { path: "retry.max_attempts", label: "Most attempts", kind: "number", min: 1, max: 100 },
    { path: "retry.delay_ms", label: "Wait before the second", kind: "number", unit: "ms", min: 10, max: 3_600_000 },
    { path: "retry.factor", label: "Each wait is longer by the factor", kind: "number", min: 1, max: 10 },
    { path: "retry.max_delay_ms", label: "Longest wait", kind: "number", unit: "ms", min: 10, max: 86_400_000 },
    { path: "retry.jitter", label: "Share of a wait that is random", kind: "number", min: 0, max: 1 },
    {
      path: "retry.ambiguous",
      label: "Repeat a request that had no answer",
      kind: "boolean",
      choices: yesNo("as is usual"),
      help: "The receiver may have taken it, and would get it twice.",
    },
    { path: "timeout_ms", label: "Longest time for a request", kind: "number", unit: "ms", min: 100, max: 30_000 },
    {
      path: "auto_disable_seconds",
      label: "Disable after failing for",
      kind: "number",
      unit: "s",
      min: 1,
      max: 31_536_000,
      help: "Emptied on a webhook that exists: never.",
    },
  ],
};

const request: Group = {
  title: "Method, headers and secret",
  fields: [
    {
      path: "method",
      label: "Method",
      kind: "choice",
      choices: [
        { value: "POST", label: "POST" },
        { value: "PUT", label: "PUT" },
      ],
    },
    {
      path: "headers",
      label: "More headers",
      kind: "headers",
      placeholder: "Authorization: Bearer …",
      emptied: {},
      help: "One on a line. *** leaves a value as it is: none is shown again. A URL of another host needs all of them.",
    },
    {
      path: "secret",
      label: "Secret",
      kind: "secret",
      help: "The key of the signatures. Empty: the node makes one, or the present one stays.",
    },
    {
      path: "key",
      label: "X-Pusher-Key",
      kind: "text",
      shown: (values) => values["profile"] === "pusher",
      help: "Empty: the key of the app whose secret this is, else the map's id.",
    },
    {
      path: "active",
      label: "Deliver at once",
      kind: "boolean",
      onlyNew: true,
      choices: [
        { value: "", label: "yes" },
        { value: "false", label: "no, when it is enabled" },
      ],
    },
  ],
};

const lambda: Group = {
  title: "AWS Lambda",
  note: "In place of a URL. The operator lists the functions that may be called (webhooks.aws.functions).",
  fields: [
    { path: "lambda.function_name", label: "Function", kind: "text" },
    { path: "lambda.region", label: "Region", kind: "text", placeholder: "us-east-1" },
    {
      path: "lambda.invocation_type",
      label: "Invocation",
      kind: "choice",
      choices: [
        none("Event: AWS queues it"),
        { value: "RequestResponse", label: "RequestResponse: wait for its answer" },
        { value: "DryRun", label: "DryRun: deliver nothing" },
      ],
    },
    { path: "lambda.qualifier", label: "Version or alias", kind: "text" },
  ],
};

/** The form of a webhook. */
export const WEBHOOK: readonly Group[] = [usual, template, SUBJECTS, order, retries, request, lambda];

/** What the form of a new webhook begins with. */
export const NEW_WEBHOOK: Values = { profile: "standard", ordering: "none", method: "POST" };

/** The form of a consumer. */
export const CONSUMER: readonly Group[] = [
  {
    title: "The usual",
    open: true,
    fields: [
      {
        path: "name",
        label: "Name",
        kind: "text",
        onlyNew: true,
        placeholder: "billing",
        help: "A-Z, a-z, 0-9, -, _ and . It can't be changed.",
      },
      EVENTS,
      EXPRESSION,
      {
        path: "start",
        label: "Begin",
        kind: "choice",
        onlyNew: true,
        choices: [none("with the events from now on"), { value: "all", label: "with all that the map has" }],
      },
      {
        path: "visibility_ms",
        label: "A reader has an event alone for",
        kind: "number",
        unit: "ms",
        min: 100,
        max: 43_200_000,
        placeholder: "30000",
      },
    ],
  },
  SUBJECTS,
  {
    title: "Order and retries",
    fields: [
      { path: "ordering", label: "Order", kind: "choice", choices: ORDERINGS },
      ORDERING_KEY,
      { path: "max_retries", label: "Most retries", kind: "number", min: 0, max: 99, placeholder: "3" },
      {
        path: "initial_delay_ms",
        label: "Wait after the first refusal",
        kind: "number",
        unit: "ms",
        min: 10,
        max: 3_600_000,
        placeholder: "1000",
      },
      {
        path: "backoff_multiplier",
        label: "Each wait is longer by the factor",
        kind: "number",
        min: 1,
        max: 10,
        placeholder: "2",
      },
      {
        path: "max_delay_ms",
        label: "Longest wait",
        kind: "number",
        unit: "ms",
        min: 10,
        max: 86_400_000,
        placeholder: "3600000",
      },
      {
        path: "max_in_flight",
        label: "Most events with readers",
        kind: "number",
        min: 1,
        max: 10_000,
        placeholder: "1000",
      },
    ],
  },
];

/** What the form of a new consumer begins with. */
export const NEW_CONSUMER: Values = { ordering: "none" };

/** The query with which the API lists the stored events that a form chooses. */
export function chosenQuery(values: Values): { subjects: string | null; events: string | null; filter: string | null } {
  const text = (path: string) => (values[path] ?? "").trim();
  const subjects = text("filter.subjects");
  const kind = text("filter.channel_type");
  const prefix = text("filter.channel_prefix");
  const conditions: string[] = [];
  if (text("filter.expression") !== "") conditions.push(text("filter.expression"));
  const apart = kind !== "" && kind !== "map" ? KINDS[kind] : undefined;
  if (apart !== undefined) conditions.push(apart);
  if (prefix !== "") conditions.push(`subject.startsWith(${JSON.stringify(prefix)})`);
  const every = kind !== "" || prefix !== "" ? "*" : null;
  return {
    subjects: kind === "map" ? null : subjects === "" ? every : joined(subjects),
    events: joined(text("events")) || null,
    // A single condition goes as it was written, so that a place in it is the place that the node names.
    filter:
      conditions.length === 0
        ? null
        : conditions.length === 1
          ? (conditions[0] ?? null)
          : conditions.map((one) => `(${one})`).join(" && "),
  };
}

const KINDS: Readonly<Record<string, string>> = {
  private: "subject.startsWith('private-')",
  presence: "subject.startsWith('presence-')",
  public: "subject != '' && !subject.startsWith('private-') && !subject.startsWith('presence-')",
};

function joined(list: string): string {
  return list
    .split(/[,\n]/)
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .join(",");
}

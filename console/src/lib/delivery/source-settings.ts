// The settings of ingest sources, as a form, with what each sender needs. docs/INGEST.md has their meaning.
import type { Choice, Group, Values } from "./fields";

/** A way in which senders prove who they are. */
export interface Way {
  value: string;
  label: string;
  /** Where the secret comes from: the node makes it unless one is given, or the sender gives it. */
  secret: "made" | "given" | "none" | "jwt";
  /** What to do at the sender. */
  todo: string;
}

export const WAYS: readonly Way[] = [
  {
    value: "hmac",
    label: "Own software: signed with HMAC-SHA256",
    secret: "made",
    todo: "Sign each body with the secret: X-Webhook-Signature and X-Webhook-Timestamp.",
  },
  { value: "api_key", label: "Own software: an API key", secret: "made", todo: "Send the key as X-API-Key." },
  {
    value: "standard",
    label: "Standard Webhooks, Svix",
    secret: "made",
    todo: "Give the sender the address and the secret.",
  },
  {
    value: "github",
    label: "GitHub",
    secret: "made",
    todo: "Settings → Webhooks → Add webhook: the address as Payload URL, application/json, and the secret.",
  },
  {
    value: "gitlab",
    label: "GitLab",
    secret: "made",
    todo: "Settings → Webhooks: the address as URL, and the secret as Secret token.",
  },
  {
    value: "stripe",
    label: "Stripe",
    secret: "given",
    todo: "Developers → Webhooks → Add endpoint: the address. Copy its signing secret (whsec_…) to here.",
  },
  {
    value: "shopify",
    label: "Shopify",
    secret: "given",
    todo: "Settings → Notifications → Webhooks: the address. Copy the signing secret to here.",
  },
  {
    value: "slack",
    label: "Slack",
    secret: "given",
    todo: "Copy the app's Signing Secret to here, then enter the address under Event Subscriptions.",
  },
  {
    value: "twilio",
    label: "Twilio",
    secret: "given",
    todo: "Enter the address where Twilio asks for a webhook. The secret is the account's Auth Token.",
  },
  {
    value: "jwt",
    label: "A JSON Web Token",
    secret: "jwt",
    todo: "Send it as Authorization: Bearer; it has to have exp.",
  },
  {
    value: "waypost",
    label: "Another Waypost",
    secret: "made",
    todo: "Create a webhook there with this address, the form standard, and this secret.",
  },
  {
    value: "none",
    label: "Nothing: whoever knows the address",
    secret: "none",
    todo: "Anybody who knows the address can publish into the map.",
  },
];

/** The way with that name. */
export function wayOf(name: string | undefined): Way {
  return WAYS.find((way) => way.value === name) ?? (WAYS[0] as Way);
}

const isJwt = (values: Values) => values["authentication"] === "jwt";
const takesSecret = (values: Values) => ["made", "given"].includes(wayOf(values["authentication"]).secret);
const jwtWith = (hs: boolean) => (values: Values) => isJwt(values) && (values["jwt.algorithm"] === "HS256") === hs;

const ALGORITHMS: readonly Choice[] = ["RS256", "ES256", "EdDSA", "HS256"].map((name) => ({
  value: name,
  label: name,
}));

/** The form of an ingest source. */
export const SOURCE: readonly Group[] = [
  {
    title: "The usual",
    open: true,
    fields: [
      { path: "name", label: "Name", kind: "text", placeholder: "GitHub, repository shop" },
      {
        path: "authentication",
        label: "Who sends",
        kind: "choice",
        choices: WAYS.map(({ value, label }) => ({ value, label })),
      },
      {
        path: "secretKey",
        label: "Secret",
        kind: "secret",
        shown: (values) => takesSecret(values) || jwtWith(true)(values),
        help: "Empty: the node makes one, if the sender lets you choose it. On a source that exists the present one stays.",
      },
      { path: "jwt.algorithm", label: "Algorithm", kind: "choice", choices: ALGORITHMS, shown: isJwt },
      { path: "publicKey", label: "Public key (PEM)", kind: "code", shown: jwtWith(false) },
      { path: "jwks", label: "or keys (JWKS document)", kind: "json", shown: jwtWith(false) },
      { path: "jwt.issuer", label: "Issuer", kind: "text", shown: isJwt, help: "Empty: not checked." },
      { path: "jwt.audience", label: "Audience", kind: "text", shown: isJwt, help: "Empty: not checked." },
    ],
  },
  {
    title: "What bodies become",
    note: "Without a mapping, own software sends event_type and properties; the body of a service is the payload.",
    fields: [
      {
        path: "mapping",
        label: "Mapping (JSON)",
        kind: "json",
        placeholder: '{"type": "order.${payload.state}", "payload": "${payload}"}',
      },
      { path: "schema", label: "JSON Schema of the payloads", kind: "json" },
      {
        path: "onInvalid",
        label: "A payload that the schema does not allow",
        kind: "choice",
        shown: (values) => (values["schema"] ?? "").trim() !== "",
        choices: [
          { value: "refuse", label: "is refused with 400" },
          { value: "mark", label: "is stored, and marked" },
        ],
      },
    ],
  },
  {
    title: "Limits and repeated requests",
    fields: [
      {
        path: "limits.requestsPerMinute",
        label: "Most requests a minute",
        kind: "number",
        min: 1,
        max: 10_000_000,
        placeholder: "60000",
      },
      {
        path: "limits.requestsPerMinutePerAddress",
        label: "of one address",
        kind: "number",
        min: 1,
        max: 10_000_000,
        placeholder: "6000",
      },
      {
        path: "dedupeHeader",
        label: "Header that names a delivery",
        kind: "text",
        placeholder: "idempotency-key",
        emptied: "idempotency-key",
      },
    ],
  },
];

/** What the form of a new source begins with. */
export const NEW_SOURCE: Values = { authentication: "hmac", "jwt.algorithm": "RS256", onInvalid: "refuse" };

/** Why a request to a source was refused, in words; the code itself if it is not known here. */
export function verdictWords(verdict: string): string {
  return VERDICTS[verdict] ?? verdict.replaceAll("_", " ");
}

const VERDICTS: Readonly<Record<string, string>> = {
  accepted: "stored",
  repeated: "known already, stored once",
  answered: "answered, nothing to store",
};

/** Whether a verdict says that the request was refused. */
export function isRefused(verdict: string | undefined): boolean {
  return verdict !== undefined && !(verdict in VERDICTS);
}

// Senders with their own signers, and the snippet of the seed, unchanged but for its URL and secret.
//
// Options: sources ({name: {url, secret}}), one for each of seed, api_key, github, stripe, standard, svix, twilio.
// Each request is told by a line `answer` with name, kind (good, wrong), status and body; `done` comes last.
import crypto from "node:crypto";
import { Webhooks } from "@octokit/webhooks";
import { Webhook as Standard } from "standardwebhooks";
import Stripe from "stripe";
import { Webhook as Svix } from "svix";
import twilio from "twilio";
import { options, say } from "./lines.mjs";

const { sources } = options;
const json = { "content-type": "application/json" };
// Another secret of the same form.
const OTHER = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/** Sends a request, and again as senders do while the server asks them to come back. */
async function answered(send) {
  for (;;) {
    const response = await send();
    if (response.status !== 503) return response;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function post(name, kind, url, headers, body) {
  const response = await answered(() => fetch(url, { method: "POST", headers, body }));
  say("answer", { name, kind, status: response.status, body: await response.json() });
}

/** The snippet of the seed, "Sending signed requests". */
async function seed(webhookUrl, secret) {
  const event = {
    event_type: "purchase",
    timestamp: "2024-01-15T10:30:00Z",
    user_id: "user_123",
    properties: { item_id: "sword_001", amount: 9.99, currency: "USD" },
  };
  const payload = JSON.stringify(event);
  const timestamp = Date.now().toString();
  const signature = crypto
    .createHmac("sha256", secret)
    .update(`${timestamp}.${payload}`)
    .digest("hex");

  return fetch(webhookUrl, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "X-Webhook-Timestamp": timestamp,
      "X-Webhook-Signature": `sha256=${signature}`,
    },
    body: payload,
  });
}

const senders = {
  async github(kind, { url }, secret) {
    const body = JSON.stringify({ ref: "refs/heads/main", kind });
    const signature = await new Webhooks({ secret }).sign(body);
    const headers = { ...json, "x-github-event": "push", "x-github-delivery": crypto.randomUUID() };
    await post("github", kind, url, { ...headers, "x-hub-signature-256": signature }, body);
  },
  async stripe(kind, { url }, secret) {
    const body = JSON.stringify({ id: `evt_${kind}`, type: "charge.succeeded", created: 1492774577 });
    const header = new Stripe("sk_test_none").webhooks.generateTestHeaderString({ payload: body, secret });
    await post("stripe", kind, url, { ...json, "stripe-signature": header }, body);
  },
  async standard(kind, { url }, secret) {
    const body = JSON.stringify({ type: "user.created", data: { kind } });
    const [id, at] = [`msg_${kind}`, new Date()];
    const headers = {
      ...json,
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": new Standard(secret).sign(id, at, body),
    };
    await post("standard", kind, url, headers, body);
  },
  async svix(kind, { url }, secret) {
    const body = JSON.stringify({ type: "invoice.paid", data: { kind } });
    const [id, at] = [`msg_svix_${kind}`, new Date()];
    const headers = {
      ...json,
      "svix-id": id,
      "svix-timestamp": String(Math.floor(at.getTime() / 1000)),
      "svix-signature": new Svix(secret).sign(id, at, body),
    };
    await post("svix", kind, url, headers, body);
  },
  async twilio(kind, { url }, secret) {
    const params = { MessageSid: `SM_${kind}`, MessageStatus: "delivered", Body: "a b & c=d é" };
    const signature = twilio.getExpectedTwilioSignature(secret, url, params);
    await post("twilio", kind, url, { "x-twilio-signature": signature }, new URLSearchParams(params));
    const body = JSON.stringify({ EventType: "onMessageAdded", kind });
    const hashed = `${url}?bodySHA256=${twilio.getExpectedBodyHash(body)}`;
    const headers = { ...json, "x-twilio-signature": twilio.getExpectedTwilioSignature(secret, hashed, {}) };
    await post("twilio json", kind, hashed, headers, body);
  },
};

for (const [kind, other] of [["good", null], ["wrong", OTHER]]) {
  const answer = await answered(() => seed(sources.seed.url, other ?? sources.seed.secret));
  say("answer", { name: "seed", kind, status: answer.status, body: await answer.json() });
  for (const [name, send] of Object.entries(senders)) {
    await send(kind, sources[name], other ?? sources[name].secret);
  }
}
say("done");

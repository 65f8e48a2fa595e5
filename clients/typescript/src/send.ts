import { ConfigurationError } from "./errors.js";
import { exchange, persistently } from "./http.js";
import type { Sent, SendTarget, SentEvent } from "./types.js";

/** How often a request is sent. The server stores it once. */
const TRIES = 5;

/** Sends events to an endpoint, as a service does that sends webhooks. */
export class Sender {
  private lastTime = 0;

  constructor(
    private readonly fetcher: typeof fetch,
    private readonly crypto: Pick<Crypto, "subtle"> | undefined,
    private readonly timeout: number,
  ) {}

  async send(target: SendTarget, events: SentEvent | SentEvent[]): Promise<Sent> {
    const body = JSON.stringify(Array.isArray(events) ? { events } : events);
    // A signed time makes a request different from others with the same body.
    this.lastTime = Math.max(this.lastTime + 1, Date.now());
    const headers = {
      "content-type": "application/json",
      "idempotency-key": `${this.lastTime}-${Math.random().toString(36).slice(2)}${Math.random().toString(36).slice(2)}`,
      ...(await this.proof(target, this.lastTime.toString(), body)),
    };
    const answer = await persistently(TRIES, new AbortController().signal, () =>
      exchange(this.fetcher, target.url, { method: "POST", headers, body }, this.timeout),
    );
    return (answer as { data: Sent }).data;
  }

  private async proof(target: SendTarget, timestamp: string, body: string): Promise<Record<string, string>> {
    switch (target.authentication) {
      case "hmac":
        return {
          "x-webhook-timestamp": timestamp,
          "x-webhook-signature": `sha256=${await this.sign(target.secretKey, `${timestamp}.${body}`)}`,
        };
      case "api_key":
        return { "x-api-key": target.apiKey };
      case "jwt":
        return { authorization: `Bearer ${target.jwt}` };
      case "none":
        return {};
      default:
        throw new ConfigurationError("authentication: send signs hmac, api_key, jwt and none");
    }
  }

  private async sign(secret: string, text: string): Promise<string> {
    if (this.crypto === undefined) {
      throw new ConfigurationError("crypto: there is no WebCrypto here; Node 18 has it as webcrypto in node:crypto");
    }
    const encoder = new TextEncoder();
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const key = await this.crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["sign"]);
    const signature = new Uint8Array(await this.crypto.subtle.sign("HMAC", key, encoder.encode(text)));
    return Array.from(signature, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }
}

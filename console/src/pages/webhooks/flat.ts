import type { Webhook } from "../delivery/types";

/** A webhook in the shape in which it is set: the API shows a function as its target. */
export function flat(webhook: Webhook): Record<string, unknown> {
  return { ...webhook, lambda: webhook.target.type === "lambda" ? webhook.target : null };
}

import type { Webhook } from "../delivery/types";

/** Where the requests of a webhook go, in one line. */
export function targetText({ target, url }: Webhook): string {
  if (target.type === "lambda") return `${target.function_name ?? "a function"} in ${target.region ?? "AWS"}`;
  return url ?? target.url ?? "this node cannot decrypt the URL";
}

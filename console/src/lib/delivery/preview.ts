// What the node says a webhook would send of an event.

export interface Preview {
  /** The event that it is shown with; null if the map has none. */
  event: { id: string; type: string; [name: string]: unknown } | null;
  /** Whether the settings choose it. */
  chosen: boolean;
  /** Why not, in words. */
  why: string | null;
  request: MadeRequest | null;
  /** Why no body could be made. */
  error: string | null;
  /** Whether the event is one that nobody has published. */
  sample?: boolean;
}

/** A request without its secrets. */
export interface MadeRequest {
  method: string;
  url: string;
  headers: Record<string, string>;
  body: string;
}

/** Reads a request; null if there is none. */
export function requestOf(data: unknown): MadeRequest | null {
  const request = objectOf(data);
  if (typeof request["body"] !== "string") return null;
  const headers = Object.entries(objectOf(request["headers"])).map(([name, value]) => [name, String(value)] as const);
  return {
    method: textOf(request["method"]) ?? "POST",
    url: textOf(request["url"]) ?? "",
    headers: Object.fromEntries(headers),
    body: request["body"],
  };
}

/** Reads the node's answer. What is missing in it is shown as missing. */
export function previewOf(data: unknown): Preview {
  const of = objectOf(data);
  const event = objectOf(of["event"]);
  return {
    event: typeof event["id"] === "string" ? { ...event, id: event["id"], type: String(event["type"] ?? "") } : null,
    chosen: of["chosen"] === true,
    why: textOf(of["why"]),
    request: requestOf(of["request"]),
    error: textOf(of["error"]),
  };
}

function objectOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

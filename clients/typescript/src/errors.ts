/** What went wrong. Tell errors apart by `kind` (or by their class), never by their message. */
export type ErrorKind =
  | "configuration"
  | "connection"
  | "timeout"
  | "invalid"
  | "unauthorized"
  | "forbidden"
  | "not_found"
  | "conflict"
  | "rate_limited"
  | "unavailable"
  | "server"
  | "handler_timeout"
  | "dead_letter";

/** All errors of this package. */
export class AdapterError extends Error {
  override readonly name: string = "AdapterError";

  constructor(
    readonly kind: ErrorKind,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }

  /** Whether the same request may succeed later. */
  get isPassing(): boolean {
    return ["connection", "timeout", "rate_limited", "unavailable", "server"].includes(this.kind);
  }
}

/** An option is missing or wrong, or a method was called at the wrong time. */
export class ConfigurationError extends AdapterError {
  override readonly name = "ConfigurationError";

  constructor(message: string) {
    super("configuration", message);
  }
}

/** There was no answer: no connection, a lost one, or none in time. Nobody knows whether the request counted. */
export class ConnectionError extends AdapterError {
  override readonly name = "ConnectionError";

  constructor(kind: "connection" | "timeout", message: string, cause?: unknown) {
    super(kind, message, { cause });
  }
}

/** Waypost refused a request. */
export class RequestError extends AdapterError {
  override readonly name = "RequestError";

  constructor(
    /** The HTTP status. */
    readonly status: number,
    /** Waypost's stable code of the error, such as `consumer_not_found`. */
    readonly code: string,
    message: string,
    /** When to come back, in milliseconds, if Waypost says so. */
    readonly retryAfterMs?: number,
    /** The index of the bad event in a batch. */
    readonly index?: number,
  ) {
    super(kindOf(status), message);
  }
}

/** A handler took longer than `handlerTimeout`. It may still be running. */
export class HandlerTimeoutError extends AdapterError {
  override readonly name = "HandlerTimeoutError";

  constructor(milliseconds: number) {
    super("handler_timeout", `the handler took longer than ${milliseconds} ms`);
  }
}

/** An event was given up. `cause` is what its handler threw at last, if it threw it in this process. */
export class DeadLetterError extends AdapterError {
  override readonly name = "DeadLetterError";

  constructor(
    /** How often the event was handed over. */
    readonly attempts: number,
    /** How the last hand-over ended: `refused`, or `unacknowledged`, as when a process dies. */
    readonly reason: string,
    /** When it was given up. */
    readonly givenUpAt: string,
    message: string,
    cause?: unknown,
  ) {
    super("dead_letter", message, { cause });
  }
}

function kindOf(status: number): ErrorKind {
  switch (status) {
    case 401:
      return "unauthorized";
    case 403:
      return "forbidden";
    case 404:
      return "not_found";
    case 408:
      return "timeout";
    case 409:
      return "conflict";
    case 429:
      return "rate_limited";
    case 502:
    case 503:
    case 504:
      return "unavailable";
    default:
      return status >= 500 ? "server" : "invalid";
  }
}

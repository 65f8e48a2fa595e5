export { WebhookAdapter } from "./adapter.js";
export {
  AdapterError,
  ConfigurationError,
  ConnectionError,
  DeadLetterError,
  HandlerTimeoutError,
  RequestError,
} from "./errors.js";
export type { ErrorKind } from "./errors.js";
export type {
  AdapterEvents,
  AdapterOptions,
  AdapterState,
  Authentication,
  ConnectOptions,
  Endpoint,
  EndpointSettings,
  RetryOptions,
  Sent,
  SendTarget,
  SentEvent,
  WebhookEvent,
} from "./types.js";

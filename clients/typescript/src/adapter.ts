import { Consumer } from "./consumer.js";
import { AdapterError, ConfigurationError } from "./errors.js";
import { Handlers } from "./handlers.js";
import { Api } from "./http.js";
import { Listener } from "./listener.js";
import { Sender } from "./send.js";
import type {
  AdapterEvents,
  AdapterOptions,
  AdapterState,
  ConnectOptions,
  Endpoint,
  EndpointSettings,
  Sent,
  SendTarget,
  SentEvent,
} from "./types.js";

const DEFAULTS = { timeout: 10_000, visibility: 30_000, maxEvents: 100, handlerTimeout: 300_000 };
/** The most that a timer can wait, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

interface Connection {
  consumer: Consumer;
  maxEvents: number;
  handlerTimeout: number;
  manage: boolean;
}

/** Makes endpoints to which other services send their events, and receives these events, each at least once. */
export class WebhookAdapter {
  private readonly options: AdapterOptions;
  private readonly handlers = new Handlers();
  private readonly fetcher: typeof fetch;
  private readonly timeout: number;
  private readonly sender: Sender;
  private readonly closing = new AbortController();
  private made: Api | undefined;
  private connection: Connection | undefined;
  private listener: Listener | undefined;
  private turn: AdapterState = "idle";

  constructor(options: AdapterOptions = {}) {
    this.options = options;
    this.fetcher = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    this.timeout = within("timeout", options.timeout ?? DEFAULTS.timeout, 1, LONGEST);
    this.sender = new Sender(this.fetcher, options.crypto ?? globalThis.crypto, this.timeout);
  }

  /** What the adapter does now. */
  get state(): AdapterState {
    return this.turn;
  }

  /** Makes an endpoint. Its secret is shown this once, if Waypost made it. Needs the scope `manage`. */
  async createEndpoint(settings: EndpointSettings): Promise<Endpoint> {
    return this.data("POST", "/ingest", settings);
  }

  /** All endpoints of the map. */
  async listEndpoints(): Promise<Endpoint[]> {
    return this.data("GET", "/ingest");
  }

  /** An endpoint with its status and its counters; without an id the one that the adapter is connected to. */
  async status(endpointId?: string): Promise<Endpoint> {
    const id = endpointId ?? this.connection?.consumer.endpointId;
    if (id === undefined) throw new ConfigurationError("endpointId: connect first, or name an endpoint");
    return this.data("GET", `/ingest/${sourceId(id)}`);
  }

  /** Removes an endpoint. What was received through it stays in the map. */
  async deleteEndpoint(endpointId: string): Promise<void> {
    await this.api().request("DELETE", `/ingest/${sourceId(endpointId)}`);
  }

  /** Sends one event, or a batch that is stored as a whole or not at all. It is stored once, however often it is sent. */
  async send(target: SendTarget, events: SentEvent | SentEvent[]): Promise<Sent> {
    return this.sender.send(target, events);
  }

  /**
   * Chooses the endpoint, and makes or changes the consumer in Waypost that remembers what was handled. The adapter
   * has what comes in from now on, or from where the consumer stands. Needs the scopes `manage` and `subscribe`.
   */
  async connect(options: ConnectOptions): Promise<void> {
    this.mustBeOpen();
    const id = sourceId(options.endpointId);
    const name = options.consumer ?? `adapter.${id}`;
    const manage = options.manage ?? true;
    if (!manage && (options.retry ?? options.ordering ?? options.orderingKey ?? options.start) !== undefined) {
      throw new ConfigurationError("manage: with false the settings of the consumer can't be changed");
    }
    const current = this.connection?.consumer;
    if (this.listener !== undefined && (current?.endpointId !== id || current.name !== name)) {
      throw new ConfigurationError("endpointId: the adapter listens to another one; stop it first");
    }
    const visibility = within("visibility", options.visibility ?? DEFAULTS.visibility, 100, 43_200_000);
    const maxEvents = within("maxEvents", options.maxEvents ?? DEFAULTS.maxEvents, 1, 500);
    const handlerTimeout = within("handlerTimeout", options.handlerTimeout ?? DEFAULTS.handlerTimeout, 1, LONGEST);
    // The consumer of a listener that runs is changed where it is.
    const consumer = this.listener !== undefined && current ? current : new Consumer(this.api(), name, id, visibility);
    if (manage) await consumer.prepare(options, this.closing.signal);
    this.mustBeOpen();
    this.connection = { consumer, maxEvents, handlerTimeout, manage };
    if (this.listener === undefined) this.turn = "connected";
  }

  /** Adds a handler. Several for one event are called one after another, and all must succeed. */
  on<N extends keyof AdapterEvents>(name: N, handler: AdapterEvents[N]): this {
    this.handlers.add(name, handler);
    if (name === "dead_letter") this.listener?.wake();
    return this;
  }

  /** Removes a handler. */
  off<N extends keyof AdapterEvents>(name: N, handler: AdapterEvents[N]): this {
    this.handlers.remove(name, handler);
    return this;
  }

  /** Begins to take events, and returns. Connections that are lost are made again. */
  async startListening(): Promise<void> {
    this.mustBeOpen();
    const { connection } = this;
    if (connection === undefined) throw new ConfigurationError("connect first");
    if (this.listener !== undefined) return;
    if (!this.handlers.has("event") && !this.handlers.has("batch")) {
      throw new ConfigurationError("there is no handler of event or batch: events would be acknowledged unseen");
    }
    if (!connection.manage && this.handlers.has("dead_letter")) {
      throw new ConfigurationError("manage: with false there are no dead_letter events");
    }
    const { consumer, maxEvents, handlerTimeout, manage: letters } = connection;
    const options = { maxEvents, handlerTimeout, letters };
    const listener = new Listener(consumer, this.handlers, options, (state) => {
      this.turn = state;
    });
    this.listener = listener;
    this.turn = "listening";
    void listener.ended.then(
      () => this.ends(),
      (error: unknown) => {
        this.ends();
        this.fails(error);
      },
    );
  }

  /** Takes no more events, and waits until those that were taken are handled. `startListening` goes on. */
  async stop(): Promise<void> {
    const { listener } = this;
    if (listener === undefined) return;
    listener.stop();
    await listener.ended.catch(() => undefined);
  }

  /** Ends at once. Events that were taken and not acknowledged come again when their `visibility` ends. */
  async close(): Promise<void> {
    const { listener } = this;
    this.turn = "closed";
    this.closing.abort();
    listener?.close();
  }

  private ends(): void {
    this.listener = undefined;
    if (this.turn !== "closed") this.turn = "connected";
  }

  private fails(error: unknown): void {
    const known = error instanceof AdapterError ? error : new AdapterError("server", String(error), { cause: error });
    if (this.handlers.has("error")) this.handlers.notify("error", known);
    // As an EventEmitter does: who does not listen to errors must hear that nothing comes any more.
    else void Promise.reject(known);
  }

  private mustBeOpen(): void {
    if (this.turn === "closed") throw new ConfigurationError("the adapter is closed");
  }

  private async data<T>(method: string, path: string, body?: unknown): Promise<T> {
    const { signal } = this.closing;
    return (await this.api().request<{ data: T }>(method, path, { body, signal })).data;
  }

  private api(): Api {
    const { url, token, map } = this.options;
    const urls = (Array.isArray(url) ? url : needed("url", "WAYPOST_URL", url).split(","))
      .map((one) => one.trim().replace(/\/+$/, ""))
      .filter((one) => one !== "");
    if (urls.length === 0) throw new ConfigurationError("url: there is none");
    const theToken = needed("token", "WAYPOST_TOKEN", token);
    this.made ??= new Api(urls, theToken, needed("map", "WAYPOST_MAP", map), this.fetcher, this.timeout);
    return this.made;
  }
}

/** The option, or the variable of the environment where there is one. */
function needed(option: string, variable: string, value: string | undefined): string {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  const found = value ?? process?.env?.[variable];
  if (!found) throw new ConfigurationError(`${option}: give the option, or the environment variable ${variable}`);
  return found;
}

function sourceId(id: string): string {
  if (!/^wh_[0-9A-Za-z]{1,64}$/.test(id)) throw new ConfigurationError(`endpointId: ${id} is not wh_ and letters or digits`);
  return id;
}

function within(option: string, value: number, least: number, most: number): number {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new ConfigurationError(`${option}: ${value} is not a whole number from ${least} to ${most}`);
  }
  return value;
}

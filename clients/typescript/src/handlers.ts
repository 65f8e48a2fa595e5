import { ConfigurationError, ConnectionError, HandlerTimeoutError } from "./errors.js";
import type { AdapterEvents } from "./types.js";

type Name = keyof AdapterEvents;

/** How long a handler is waited for. */
export interface Limits {
  timeout: number;
  closing: AbortSignal;
}

/** The handlers of an adapter, in the order in which they were added. */
export class Handlers {
  private readonly all = new Map<Name, Array<(...args: never[]) => unknown>>();

  add<N extends Name>(name: N, handler: AdapterEvents[N]): void {
    this.all.set(name, [...(this.all.get(name) ?? []), handler]);
  }

  remove<N extends Name>(name: N, handler: AdapterEvents[N]): void {
    const left = (this.all.get(name) ?? []).filter((one) => one !== handler);
    this.all.set(name, left);
  }

  has(name: Name): boolean {
    return (this.all.get(name)?.length ?? 0) > 0;
  }

  /** Calls all handlers, one after another, each in time. Fails with what the first one throws, or if there is none. */
  async succeed<N extends Name>(limits: Limits, name: N, ...args: Parameters<AdapterEvents[N]>): Promise<void> {
    const handlers = this.of(name);
    if (handlers.length === 0) throw new ConfigurationError(`there is no handler of ${name}`);
    for (const handler of handlers) await inTime(limits, () => handler(...args));
  }

  /** Calls all handlers of a notice. What they throw is thrown where nobody waits, as an event target does. */
  notify<N extends Name>(name: N, ...args: Parameters<AdapterEvents[N]>): void {
    for (const handler of this.of(name)) void (async () => handler(...args))();
  }

  private of<N extends Name>(name: N): Array<(...args: Parameters<AdapterEvents[N]>) => unknown> {
    return (this.all.get(name) ?? []) as Array<(...args: Parameters<AdapterEvents[N]>) => unknown>;
  }
}

function inTime({ timeout, closing }: Limits, act: () => unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (then: () => void): void => {
      clearTimeout(timer);
      closing.removeEventListener("abort", close);
      then();
    };
    const close = (): void => end(() => reject(new ConnectionError("connection", "the adapter was closed")));
    const timer = setTimeout(() => end(() => reject(new HandlerTimeoutError(timeout))), timeout);
    closing.addEventListener("abort", close);
    // `act` may throw before there is a promise.
    void (async () => act())().then(
      () => end(resolve),
      (error: unknown) => end(() => reject(error)),
    );
  });
}

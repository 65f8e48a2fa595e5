import type { Consumer, Handed } from "./consumer.js";
import { DeadLetters } from "./dead_letters.js";
import type { AdapterError } from "./errors.js";
import type { Handlers } from "./handlers.js";
import { Held } from "./held.js";
import { isPassing, retryAfter } from "./http.js";
import { backoff, sleep } from "./time.js";

/** How long a read waits for an event, in seconds. */
const WAIT = 20;

export interface ListenerOptions {
  maxEvents: number;
  handlerTimeout: number;
  /** Whether dead letters can be read. */
  letters: boolean;
}

/** Takes events, gives them to the handlers, and settles them. At most `maxEvents` are taken at a time. */
export class Listener {
  private readonly stopping = new AbortController();
  private readonly closing = new AbortController();
  private readonly letters: DeadLetters;
  private isBroken = false;
  /** Fulfilled when everything has ended, rejected when it can't go on. */
  readonly ended: Promise<void>;

  constructor(
    private readonly consumer: Consumer,
    private readonly handlers: Handlers,
    private readonly options: ListenerOptions,
    private readonly turned: (state: "listening" | "reconnecting") => void,
  ) {
    this.letters = new DeadLetters(consumer, handlers, options.handlerTimeout, this.stopping.signal, this.closing.signal);
    this.ended = this.run();
  }

  /** Ends when the events that were taken are settled. */
  stop(): void {
    this.stopping.abort();
  }

  /** Ends at once. The events that were taken come again. */
  close(): void {
    this.stopping.abort();
    this.closing.abort();
  }

  /** Dead letters may be wanted now. */
  wake(): void {
    this.letters.wake();
  }

  private async run(): Promise<void> {
    const loops = [this.take()];
    if (this.options.letters) loops.push(this.letters.run());
    try {
      await Promise.all(loops);
    } catch (error) {
      // What comes after the end of the other loop is no news.
      this.stop();
      await Promise.allSettled(loops);
      if (!this.closing.signal.aborted) throw error;
    }
  }

  private async take(): Promise<void> {
    const stop = this.stopping.signal;
    for (let failures = 0; !stop.aborted; ) {
      let handed: Handed[];
      try {
        handed = await this.consumer.pull(this.options.maxEvents, WAIT, stop);
        failures = 0;
        this.works();
      } catch (error) {
        if (stop.aborted) return;
        if (!isPassing(error)) throw error;
        failures += 1;
        const delay = backoff(failures, retryAfter(error));
        this.breaks(error, delay);
        await sleep(delay, stop);
        continue;
      }
      if (handed.length > 0) await this.handle(handed);
    }
  }

  private async handle(handed: Handed[]): Promise<void> {
    const later = (error: unknown, delay: number): void => this.breaks(error as AdapterError, delay);
    const held = new Held(this.consumer, handed, this.stopping.signal, this.closing.signal, later);
    try {
      for (const group of this.groups(handed)) {
        if (this.closing.signal.aborted) return;
        const ours = group.filter((one) => held.has(one));
        if (ours.length === 0) continue;
        const succeeded = await this.deliver(ours);
        if (succeeded) held.acknowledge(ours);
        else held.refuse(ours);
        await held.flushIfDue();
      }
      await held.flush();
      this.works();
    } finally {
      held.end();
    }
    if (handed.some((one) => one.attempt > this.consumer.maxRetries)) this.letters.wake();
  }

  /** What is handled together. An event that comes again is alone, so that one bad event spoils no batch twice. */
  private groups(handed: Handed[]): Handed[][] {
    if (!this.handlers.has("batch")) return handed.map((one) => [one]);
    const first = handed.filter((one) => one.attempt === 1);
    const again = handed.filter((one) => one.attempt > 1);
    return [...again.map((one) => [one]), ...(first.length > 0 ? [first] : [])];
  }

  /** Whether the handlers have succeeded. */
  private async deliver(group: Handed[]): Promise<boolean> {
    const { handlers } = this;
    const limits = { timeout: this.options.handlerTimeout, closing: this.closing.signal };
    const events = group.map((one) => this.consumer.read(one.event, one.attempt));
    const [first] = events;
    const isAlone = first !== undefined && events.length === 1 && handlers.has("event");
    try {
      if (isAlone) await handlers.succeed(limits, "event", first);
      else await handlers.succeed(limits, "batch", events);
      for (const event of events) this.letters.forgetFailure(event.id);
      return true;
    } catch (error) {
      if (this.closing.signal.aborted) return false;
      for (const event of events) this.letters.rememberFailure(event.id, error);
      handlers.notify("handler_error", error, events);
      return false;
    }
  }

  private breaks(error: AdapterError, delay: number): void {
    this.isBroken = true;
    this.turned("reconnecting");
    this.handlers.notify("reconnecting", error, delay);
  }

  private works(): void {
    if (!this.isBroken) return;
    this.isBroken = false;
    this.turned("listening");
    this.letters.wake();
  }
}

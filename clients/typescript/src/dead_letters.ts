import type { Consumer, Letter } from "./consumer.js";
import { DeadLetterError } from "./errors.js";
import type { Handlers } from "./handlers.js";
import { isPassing } from "./http.js";
import { sleep } from "./time.js";

/** How many errors of handlers are remembered. */
const REMEMBERED = 1000;
/** How soon after an event was given up its dead letter is looked for, in milliseconds; then twice as late each time. */
const SOON = 100;
/** How often they are looked for at least, in milliseconds: other processes may have died with events. */
const SELDOM = 30_000;

/** Reads the dead letters of a consumer, and has them removed once the handlers of `dead_letter` have succeeded. */
export class DeadLetters {
  private readonly failures = new Map<string, unknown>();
  private pause = SOON;
  private woken = new AbortController();

  constructor(
    private readonly consumer: Consumer,
    private readonly handlers: Handlers,
    private readonly timeout: number,
    private readonly stopping: AbortSignal,
    private readonly closing: AbortSignal,
  ) {}

  /** Remembers what a handler threw, for the case that the event is given up. */
  rememberFailure(id: string, error: unknown): void {
    this.failures.delete(id);
    this.failures.set(id, error);
    const [oldest] = this.failures.keys();
    if (this.failures.size > REMEMBERED && oldest !== undefined) this.failures.delete(oldest);
  }

  forgetFailure(id: string): void {
    this.failures.delete(id);
  }

  /** There may be a dead letter. */
  wake(): void {
    this.pause = SOON;
    this.woken.abort();
  }

  async run(): Promise<void> {
    const end = (): void => this.woken.abort();
    this.stopping.addEventListener("abort", end);
    try {
      while (!this.stopping.aborted) {
        this.woken = new AbortController();
        if (this.handlers.has("dead_letter")) await this.read();
        const { pause } = this;
        this.pause = Math.min(SELDOM, pause * 2);
        await sleep(pause, this.woken.signal);
      }
    } finally {
      this.stopping.removeEventListener("abort", end);
    }
  }

  private async read(): Promise<void> {
    try {
      for (let after = 0; !this.stopping.aborted; ) {
        const page = await this.consumer.deadLetters(after, this.stopping);
        for (const letter of page.data) {
          if (this.stopping.aborted) return;
          await this.give(letter);
        }
        if (!page.has_more || page.cursor === null) return;
        after = page.cursor;
      }
    } catch (error) {
      if (!isPassing(error)) throw error;
      // It is tried again after the pause; who reads events tells of lost connections.
    }
  }

  private async give(letter: Letter): Promise<void> {
    const event = this.consumer.readLetter(letter);
    const failure = this.failures.get(letter.id);
    const why = failure instanceof Error ? failure.message : String(failure ?? letter.error);
    const message = `given up after ${letter.attempts} attempts: ${why}`;
    const error = new DeadLetterError(letter.attempts, letter.class, letter.given_up_at, message, failure);
    try {
      const limits = { timeout: this.timeout, closing: this.closing };
      await this.handlers.succeed(limits, "dead_letter", event, error);
    } catch (thrown) {
      if (this.closing.aborted) return;
      // It stays, and comes again.
      this.handlers.notify("handler_error", thrown, [event]);
      return;
    }
    await this.consumer.forget(letter, this.closing);
    this.failures.delete(letter.id);
  }
}

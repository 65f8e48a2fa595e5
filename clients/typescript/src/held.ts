import type { Consumer, Handed } from "./consumer.js";
import { isPassing, retryAfter } from "./http.js";
import { backoff, sleep } from "./time.js";

/** How old an unsent acknowledgement may become while other events are handled, in milliseconds. */
const SOON = 1000;
/** How often an acknowledgement is sent while the adapter stops. */
const TRIES_AT_THE_END = 4;

/** The events of one hand-over, which this process keeps until they are settled. */
export class Held {
  private readonly open: Set<string>;
  private acknowledged: string[] = [];
  private refused: string[] = [];
  private flushedAt = Date.now();
  private readonly timer: ReturnType<typeof setInterval>;
  private isExtending = false;

  constructor(
    private readonly consumer: Consumer,
    handed: Handed[],
    private readonly stopping: AbortSignal,
    private readonly closing: AbortSignal,
    private readonly later: (error: unknown, delay: number) => void,
  ) {
    this.open = new Set(handed.map((one) => one.ack_id));
    this.timer = setInterval(() => void this.extend(), Math.max(30, consumer.visibility / 3));
  }

  /** Whether the event is still this process's. */
  has(one: Handed): boolean {
    return this.open.has(one.ack_id);
  }

  acknowledge(some: Handed[]): void {
    this.acknowledged.push(...some.map((one) => one.ack_id));
  }

  refuse(some: Handed[]): void {
    this.refused.push(...some.map((one) => one.ack_id));
  }

  /** Sends what has waited for a while. */
  async flushIfDue(): Promise<void> {
    if (Date.now() - this.flushedAt >= SOON) await this.flush();
  }

  /** Sends all acknowledgements and refusals. */
  async flush(): Promise<void> {
    await this.send("ack", this.acknowledged);
    this.acknowledged = [];
    await this.send("nack", this.refused);
    this.refused = [];
    this.flushedAt = Date.now();
  }

  /** No event is kept any longer. */
  end(): void {
    clearInterval(this.timer);
  }

  private async send(how: "ack" | "nack", ids: string[]): Promise<void> {
    if (ids.length === 0) return;
    for (let failures = 1; ; failures += 1) {
      try {
        // Unknown ids are of events that others have by now.
        await this.consumer.settle(how, ids, this.closing);
        for (const id of ids) this.open.delete(id);
        return;
      } catch (error) {
        const isLast = this.stopping.aborted && failures >= TRIES_AT_THE_END;
        if (!isPassing(error) || isLast || this.closing.aborted) throw error;
        const delay = backoff(failures, retryAfter(error));
        this.later(error, delay);
        await sleep(delay, this.closing);
      }
    }
  }

  private async extend(): Promise<void> {
    if (this.isExtending || this.open.size === 0) return;
    this.isExtending = true;
    try {
      const unknown = await this.consumer.settle("extend", [...this.open], this.closing);
      for (const id of unknown) this.open.delete(id);
    } catch {
      // The next acknowledgement meets the same trouble, and tells of it.
    } finally {
      this.isExtending = false;
    }
  }
}

import assert from "node:assert/strict";
import { test } from "node:test";
import { Fields } from "../src/lib/cel/fields";
import { EVERYTHING } from "../src/lib/history/wanted";
import { Reader } from "../src/pages/tail/reader";

// The page is not visible, so the reader draws by time.
Object.assign(globalThis, { document: { hidden: true }, addEventListener: () => {}, location: { hash: "" } });

/** A node with events 1 to `newest`, whose streams end after `most` events if that is given. */
class Node {
  newest = 0;
  /** Positions after which streams were asked for; empty for a new one. */
  readonly asked: string[] = [];
  /** Bytes after which a stream breaks, once for each entry. */
  readonly breaks: number[] = [];
  answer: (() => Response) | null = null;
  /** A text in the payload of each event. */
  text = "";
  #push: (() => void) | null = null;

  install(): this {
    globalThis.fetch = async (_, init) => this.#open(new Headers(init?.headers), init?.signal ?? undefined);
    return this;
  }

  /** Publishes up to an event. */
  publish(newest: number): void {
    this.newest = newest;
    this.#push?.();
  }

  #open(headers: Headers, signal: AbortSignal | undefined): Response {
    const after = headers.get("last-event-id") ?? "";
    this.asked.push(after);
    if (this.answer !== null) return this.answer();
    let sent = after === "" ? 0 : Number(after.slice(1));
    let left = this.breaks.shift() ?? Infinity;
    const encoder = new TextEncoder();
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        const send = (text: string) => {
          const bytes = encoder.encode(text).slice(0, left);
          left -= bytes.length;
          controller.enqueue(bytes);
          if (left <= 0) controller.error(new TypeError("the connection broke"));
          return left > 0;
        };
        send(`event: connected\nid: p${sent}\ndata: {"map_id":"m"}\n\n`);
        this.#push = () => {
          for (; sent < this.newest && left > 0 && signal?.aborted !== true; sent += 1)
            send(frame(sent + 1, this.text));
        };
        this.#push();
        signal?.addEventListener("abort", () => controller.error(new DOMException("aborted", "AbortError")));
      },
    });
    return new Response(body, { headers: { "content-type": "text/event-stream" } });
  }
}

function frame(seq: number, text = ""): string {
  const payload = { seq, ...(text !== "" && { text }) };
  const event = { id: `p${seq}`, seq, type: "a", map_id: "m", ts: "2026-01-31T12:00:00.000Z", payload };
  return `event: a\nid: ${event.id}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** Waits until it is so. */
async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries += 1) {
    if (tries > 3000) throw new Error(`it never came: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function read(): Reader {
  return new Reader("m", EVERYTHING, new Fields(), () => {});
}

function seqs(reader: Reader): (number | undefined)[] {
  return reader.list.shown.map((kept) => kept.event.seq);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}

test("a paused tail for which too much waits closes its stream, and goes on where it was", async () => {
  const node = new Node().install();
  const reader = read();
  node.publish(3);
  await until("three events", () => reader.list.shown.length === 3);
  reader.pause();
  node.publish(5000);
  await until("the stream is closed", () => reader.connection === "held");
  assert.deepEqual(seqs(reader), [1, 2, 3]);
  node.publish(6000);
  const { waiting } = reader.list;
  reader.resume();
  assert.equal(node.asked[1], `p${3 + waiting}`);
  await until("the newest event", () => seqs(reader).at(-1) === 6000);
  assert.deepEqual([reader.list.came, seqs(reader)], [6000, range(4001, 6000)]);
  reader.close();
});

test("a stream that breaks anywhere is resumed, and nothing is lost or comes twice", async () => {
  const node = new Node().install();
  const whole = frame(1).length;
  node.breaks.push(200, 330, 61 + whole, 500, 777);
  node.publish(12);
  const reader = read();
  await until("all events", () => reader.list.shown.length >= 12);
  assert.deepEqual(seqs(reader), range(1, 12));
  assert.equal(node.asked.length, 6);
  reader.close();
});

test("a refusal that passes is shown, and one that does not pass ends the tail", async () => {
  const node = new Node().install();
  const stream = { "content-type": "text/event-stream" };
  const refused = `retry: 200\nevent: refused\ndata: {"code":"too_many_filters","message":"too many"}\n\n`;
  node.answer = () => new Response(refused, { headers: stream });
  const reader = read();
  await until("the refusal", () => reader.refused !== null);
  assert.deepEqual(reader.refused, { code: "too_many_filters", message: "too many" });
  node.answer = null;
  node.publish(1);
  await until("an event", () => reader.list.shown.length === 1);
  assert.equal(reader.refused, null);
  reader.close();
  const bad = { error: "invalid_filter", code: "invalid_filter", status: 400, message: "at 1: no" };
  node.answer = () => Response.json(bad, { status: 400 });
  const other = read();
  await until("the end", () => other.connection === "ended");
  assert.equal((other.error as Error).message, "at 1: no");
  other.close();
});

/** A visible page, which draws when `draw` says so. */
function visible(draw: (drawn: () => void) => void): void {
  Object.assign(globalThis, { document: { hidden: false }, requestAnimationFrame: draw });
}

test("what waits for a page that is not drawn is bounded, in events and in bytes", async (t) => {
  visible(() => {});
  for (const { text, events, least } of [
    { text: "", events: 600, least: 500 },
    { text: "x".repeat(300_000), events: 10, least: 7 },
  ]) {
    const node = new Node().install();
    node.text = text;
    const reader = read();
    t.after(() => reader.close());
    node.publish(events);
    await until("the list has what is too much to wait", () => reader.list.shown.length >= least);
  }
});

test("a visible tail is drawn ten times a second at most, however many events come", async (t) => {
  let draws = 0;
  visible((drawn) => drawn());
  const node = new Node().install();
  const from = performance.now();
  const reader = new Reader("m", EVERYTHING, new Fields(), () => draws++);
  t.after(() => reader.close());
  for (let newest = 1; newest <= 50; newest += 1) {
    node.publish(newest);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until("all events", () => reader.list.shown.length === 50);
  const most = 2 + (performance.now() - from) / 90;
  assert.ok(draws >= 1 && draws <= most, `${draws} draws, at most ${most}`);
});

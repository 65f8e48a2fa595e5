import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";
import {
  api,
  ApiError,
  authenticate,
  DOUBT_MS,
  explain,
  lost,
  LostError,
  page,
  READ_MS,
  url,
  withQuery,
  WRITE_MS,
} from "../src/api";
import { stream, type ServerEvent } from "../src/sse";

interface Sent {
  path: string;
  init: RequestInit;
}

/** Answers each request in order; the last answer is repeated. */
function answering(...answers: (() => Response | Promise<Response>)[]): Sent[] {
  const sent: Sent[] = [];
  globalThis.fetch = (async (path: string, init: RequestInit) => {
    sent.push({ path, init });
    const answer = answers[Math.min(sent.length, answers.length) - 1];
    if (init.signal?.aborted === true) throw new DOMException("aborted", "AbortError");
    return (answer ?? gone)();
  }) as typeof fetch;
  return sent;
}

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}) =>
  () =>
    new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });
const gone = () => {
  throw new TypeError("fetch failed");
};
const cut = (text: string) => () =>
  new Response(new TextEncoder().encode(text), { status: 200, headers: { "content-type": "text/event-stream" } });

const fetched = globalThis.fetch;
afterEach(() => {
  globalThis.fetch = fetched;
  authenticate({ headers: () => ({}), refused: () => {} });
});

test("each value is one segment of a path, and what is not given is left out of a query", () => {
  assert.equal(url`/api/maps/${"a/b?c"}/subjects/${"x#y"}`, "/api/maps/a%2Fb%3Fc/subjects/x%23y");
  assert.equal(withQuery("/a", { b: "1 2", c: null, d: undefined, e: "", f: false, g: 0 }), "/a?b=1+2&f=false&g=0");
  assert.equal(withQuery("/a", {}), "/a");
});

test("a read is tried again until a node answers, and says so meanwhile", async () => {
  let said = false;
  const badGateway = () => {
    said ||= lost.value !== null;
    return new Response("<h1>Bad gateway</h1>", { status: 502 });
  };
  const sent = answering(gone, badGateway, json(200, { data: 7 }));
  assert.deepEqual(await api.get("/x"), { data: 7 });
  assert.equal(sent.length, 3);
  assert.ok(said, "nothing was said");
  assert.equal(lost.value, null);
});

test("a write is sent once", async () => {
  const sent = answering(gone);
  await assert.rejects(api.post("/x", { a: 1 }), LostError);
  assert.equal(sent.length, 1);
  assert.equal(sent[0]?.init.body, '{"a":1}');
});

/** A node that stands still: it takes requests, and answers none. */
function standing(): Sent[] {
  const sent: Sent[] = [];
  globalThis.fetch = ((path: string, init: RequestInit) => {
    sent.push({ path, init });
    return new Promise((_, reject) => {
      init.signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
    });
  }) as typeof fetch;
  return sent;
}

/** Lets everything run that waits for nothing. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

test("a node that stands still is lost after some time, and a caller that leaves is not", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const sent = standing();
    const written = assert.rejects(api.post("/x", {}), LostError);
    const once = assert.rejects(api.get("/x", { once: true }), LostError);
    const stop = new AbortController();
    const left = assert.rejects(api.get("/x", { signal: stop.signal }), { name: "AbortError" });
    await settle();
    assert.equal(sent.length, 3);
    stop.abort();
    await left;
    mock.timers.tick(READ_MS);
    await once;
    mock.timers.tick(WRITE_MS);
    await written;
    assert.ok(sent.every(({ init }) => init.signal?.aborted === true));
  } finally {
    mock.timers.reset();
  }
});

test("a stream that falls silent is opened again where it was", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const asked: (string | undefined)[] = [];
    globalThis.fetch = (async (_: string, init: RequestInit) => {
      asked.push((init.headers as Record<string, string>)["last-event-id"]);
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          controller.enqueue(new TextEncoder().encode(`id: ${asked.length}\ndata: a\n\n`));
          init.signal?.addEventListener("abort", () => controller.error(new DOMException("aborted", "AbortError")));
        },
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    }) as typeof fetch;
    const stop = new AbortController();
    const states: string[] = [];
    const reads = stream("/x", { signal: stop.signal, onEvent: () => {}, onState: (state) => states.push(state) });
    await settle();
    mock.timers.tick(59_000);
    await settle();
    assert.deepEqual([asked, states], [[undefined], ["open"]]);
    mock.timers.tick(2000);
    await settle();
    mock.timers.tick(1000);
    await settle();
    assert.deepEqual(
      [asked, states],
      [
        [undefined, "1"],
        ["open", "lost", "open"],
      ],
    );
    stop.abort();
    await reads;
  } finally {
    mock.timers.reset();
  }
});

test("a refusal has its code, its faults and what to do", async () => {
  const errors = [{ field: "limits.connections", code: "wrong_type", message: "must be a number" }];
  const refused = { error: "invalid_body", code: "invalid_body", status: 400, message: "no", hint: "mend it", errors };
  answering(json(400, refused, { "retry-after": "3" }));
  const error = await api.patch("/x", {}).then(
    () => assert.fail("it went well"),
    (failed: unknown) => failed,
  );
  assert.ok(error instanceof ApiError);
  assert.equal(error.code, "invalid_body");
  assert.equal(error.retryAfter, 3);
  assert.equal(explain(error), "no · limits.connections: must be a number · mend it");
});

test("a fault that the message has already is told once", async () => {
  const errors = [{ field: "template", code: "required", message: "is required by the profile template" }];
  const message = "template: is required by the profile template";
  answering(json(400, { code: "validation_failed", status: 400, message, hint: "mend it", errors }));
  const error = await api.post("/x", {}).catch((failed: unknown) => failed);
  assert.equal(explain(error), "template: is required by the profile template · mend it");
});

test("a node that stands still is lost within seconds, since it answered last", async () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  try {
    answering(json(200, { data: 1 }));
    await api.get("/x");
    const last = Date.now();
    mock.timers.tick(2500);
    standing();
    const stop = new AbortController();
    const left = assert.rejects(api.get("/x", { signal: stop.signal, limit: 3000 }), { name: "AbortError" });
    await settle();
    assert.equal(lost.value, null);
    mock.timers.tick(3000);
    await settle();
    assert.deepEqual({ since: lost.peek()?.since }, { since: last }, "the time counts from the last answer");
    stop.abort();
    await left;
  } finally {
    mock.timers.reset();
    lost.value = null;
  }
});

test("while a request waits for long, the node is asked whether it answers at all", async () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 2_000_000 });
  try {
    const paths: string[] = [];
    let answers = true;
    globalThis.fetch = ((path: string, init: RequestInit) => {
      paths.push(path);
      if (path !== "/slow" && answers) return Promise.resolve(new Response("{}"));
      return new Promise((_, reject) => {
        init.signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
      });
    }) as typeof fetch;
    const stop = new AbortController();
    const left = assert.rejects(api.get("/slow", { signal: stop.signal }), { name: "AbortError" });
    const pass = async (milliseconds: number) => {
      mock.timers.tick(milliseconds);
      await settle();
    };
    await settle();
    await pass(DOUBT_MS);
    assert.deepEqual([paths, lost.value], [["/slow", "/console/config"], null], "it is only slow");
    answers = false;
    const last = Date.now();
    await pass(DOUBT_MS);
    await pass(DOUBT_MS);
    assert.equal(lost.value?.since, last);
    stop.abort();
    await left;
    const asked = paths.length;
    await pass(10 * DOUBT_MS);
    assert.equal(paths.length, asked, "nobody waits any more");
  } finally {
    mock.timers.reset();
    lost.value = null;
  }
});

test("who is refused is told, but not at sign-in", async () => {
  let refused = 0;
  authenticate({ headers: () => ({ "x-waypost-csrf": "c" }), refused: () => refused++ });
  const sent = answering(json(401, { code: "unauthorized", message: "no" }));
  await assert.rejects(api.get("/x"), ApiError);
  await assert.rejects(api.get("/x", { quiet: true }), ApiError);
  assert.equal(refused, 1);
  assert.equal((sent[0]?.init.headers as Record<string, string>)["x-waypost-csrf"], "c");
});

test("lists go on in either way", async () => {
  answering(json(200, { data: [1], cursor: "c", has_more: true }));
  assert.equal((await page("/x")).next, "c");
  answering(json(200, { data: [1], cursor: "c", has_more: false }));
  assert.equal((await page("/x")).next, null);
  answering(json(200, { data: [1], next: 5, unreachable: [{ id: 3, name: "node-3" }] }));
  assert.deepEqual(await page("/x"), { data: [1], next: "5", unreachable: [{ id: 3, name: "node-3" }] });
});

test("a stream goes on after the last event, and waits for a node that begins", async () => {
  const first = ": hello\nretry: 1\nid: 1\nevent: paid\ndata: a\ndata: b\n\nid: 2\r\ndata: c\r\n\r\nid: 3\ndata: half";
  const sent = answering(cut(first), json(503, { code: "not_ready", message: "wait" }), cut("id: 3\ndata: d\n\n"));
  const events: ServerEvent[] = [];
  const stop = new AbortController();
  const onEvent = (event: ServerEvent) => {
    events.push(event);
    if (events.length === 3) stop.abort();
  };
  await stream("/x", { query: { filter: "a" }, signal: stop.signal, onEvent });
  assert.deepEqual(events, [
    { id: "1", event: "paid", data: "a\nb" },
    { id: "2", event: "message", data: "c" },
    { id: "3", event: "message", data: "d" },
  ]);
  assert.equal(sent[0]?.path, "/x?filter=a");
  const last = (sent[2]?.init.headers as Record<string, string>)["last-event-id"];
  assert.equal(last, "2", "an event that was cut comes again");
});

test("a stream that is refused ends", async () => {
  answering(json(400, { code: "invalid_filter", message: "no" }));
  const stop = new AbortController();
  const error = await stream("/x", { signal: stop.signal, onEvent: () => assert.fail("an event came") }).then(
    () => assert.fail("it went well"),
    (e: unknown) => e,
  );
  assert.ok(error instanceof ApiError);
  assert.equal(error.code, "invalid_filter");
});

// A subscriber with npm eventsource. It resumes by itself on the same URL (Last-Event-ID header);
// after an error it goes to the next URL, with the last id in the query.
//
// Options: urls (of the stream), token, query (object), types (event names to listen for), stay
// (true: keep to the URL and let EventSource reconnect), retry_ms (100).
import { EventSource } from "eventsource";
import { options, orders, say } from "./lines.mjs";

const { urls, token, query = {}, types = [], stay = false, retry_ms = 100 } = options;
let last = null;
let turn = 0;
let current = null;

function connect() {
  const asked = last === null ? query : { ...query, last_event_id: last };
  const search = new URLSearchParams(asked).toString();
  const url = `${urls[turn % urls.length]}${search ? `?${search}` : ""}`;
  const source = new EventSource(url, {
    fetch: (input, init) =>
      fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } }),
  });
  current = source;
  const live = () => current === source;
  source.onopen = () => live() && say("open", { url });
  source.onerror = (error) => {
    if (!live()) return;
    say("error", { url, code: error.code ?? null, message: error.message ?? null });
    if (!stay) next();
  };
  // What the stream says of itself moves the position, too.
  for (const own of ["connected", "position"]) {
    source.addEventListener(own, (event) => {
      if (!live()) return;
      last = event.lastEventId || last;
      say(own, { url, id: event.lastEventId, data: JSON.parse(event.data) });
    });
  }
  for (const type of types) {
    source.addEventListener(type, (event) => {
      if (!live()) return;
      last = event.lastEventId;
      say("event", { event: type, id: event.lastEventId, payload: JSON.parse(event.data) });
    });
  }
}

function next() {
  current.close();
  current = null;
  turn += 1;
  setTimeout(connect, retry_ms);
}

orders({ next });
connect();

// A subscriber with npm phoenix, over any transport. Resumes as the documentation describes: join params
// as a function that gives the last event id seen. When its connection ends it goes to the next
// URL, as a client behind a load balancer would.
//
// Options: urls (http://…), token, topic, vsn ("2.0.0", or "1.0.0" with the objects that old clients
// sent), params (join params), subprotocol (true: the token goes as authToken, not in the query),
// stay (true: keep to the URL, phoenix reconnects by itself), retry_ms (100), fallback_ms (when phoenix
// goes over to its long poll; never without it).
// Orders: {do:"next"} leave for the next URL, {do:"leave"}, {do:"push",event,payload}.
import { Socket } from "phoenix";
import { options, orders, say } from "./lines.mjs";

export function subscribe(transport) {
  const { urls, token, topic, params = {}, retry_ms = 100 } = options;
  const auth = options.subprotocol ? { authToken: token } : { params: { token } };
  const vsn = options.vsn ?? "2.0.0";
  const objects = {
    encode: (message, done) => done(JSON.stringify(message)),
    decode: (raw, done) => done(JSON.parse(raw)),
  };
  let last = null;
  let turn = 0;
  let current = null;

  // After an event was seen, its id replaces whatever asked for older history before.
  const joinParams = () => {
    if (last === null) return params;
    const { backfill, since, ...rest } = params;
    return { ...rest, last_event_id: last };
  };

  function connect() {
    const url = urls[turn % urls.length];
    const socket = new Socket(`${url.replace(/^http/, transport.scheme)}/socket/events`, {
      transport: transport.constructor,
      vsn,
      longPollFallbackMs: options.fallback_ms,
      ...auth,
      ...(vsn.startsWith("1") ? objects : {}),
    });
    const mine = { socket, url };
    current = mine;
    const live = () => current === mine;

    socket.onOpen(() => live() && say("open", { url }));
    socket.onClose((event) => live() && gone("close", { url, code: event?.code, reason: event?.reason }));
    socket.onError((error) => live() && gone("error", { url, message: String(error?.message ?? error) }));
    const channel = socket.channel(topic, joinParams);
    mine.channel = channel;
    // Bindings match by equality; this hook sees every event, whatever its type.
    channel.onMessage = (event, payload) => {
      if (live() && !event.startsWith("phx_") && !event.startsWith("chan_reply_")) {
        if (typeof payload?.id === "string") last = payload.id;
        // Only events have a payload of their own.
        const own = event === "position" && payload?.payload === undefined;
        say(own ? "position" : "event", { event, payload });
      }
      return payload;
    };
    channel.onClose(() => live() && say("channel_close", { url }));
    channel.onError((reason) => live() && say("channel_error", { url, reason: reason ?? null }));
    channel
      .join()
      .receive("ok", (response) => {
        if (!live()) return;
        // From here on nothing may be missed, even if the connection ends before the first event.
        last = response.last_event_id ?? last;
        say("join", { url, status: "ok", response });
      })
      .receive("error", (response) => live() && say("join", { url, status: "error", response }))
      .receive("timeout", () => live() && say("join", { url, status: "timeout" }));
    socket.connect();
  }

  function gone(t, what) {
    say(t, what);
    if (!options.stay) next();
  }

  function next() {
    const old = current;
    current = null;
    turn += 1;
    old.channel.leave();
    old.socket.disconnect();
    setTimeout(connect, retry_ms);
  }

  orders({
    next,
    leave: () => current.channel.leave().receive("ok", () => say("left")),
    push: ({ event, payload }) =>
      current.channel
        .push(event, payload)
        .receive("ok", (response) => say("reply", { status: "ok", response }))
        .receive("error", (response) => say("reply", { status: "error", response })),
  });
  connect();
  return {
    // The page's own doing, such as a tab that sleeps: the same socket goes and comes back.
    reconnect: () => current?.socket.disconnect(() => current?.socket.connect()),
  };
}

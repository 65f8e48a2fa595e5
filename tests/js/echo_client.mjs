// A page with npm laravel-echo over npm pusher-js, as Laravel's documentation writes it. The npm library
// `pusher` signs in this process, as the page's back end would.
//
// Options: url (http://…), app ({id, key, secret}), user ({id, info}), master (base64).
// Orders: {do:"listen",channel,event} (a public channel), {do:"private",channel,event},
// {do:"encrypted",channel,event}, {do:"join",channel,event}, {do:"whisper",channel,event,data},
// {do:"leave",channel}, {do:"status"}.
import Echo from "laravel-echo";
import Pusher from "pusher-js";
import Backend from "pusher";
import { options, orders, say } from "./lines.mjs";

const { app, user = {}, master } = options;
const { hostname, port } = new URL(options.url);
const backend = new Backend({
  appId: app.id,
  key: app.key,
  secret: app.secret,
  ...(master ? { encryptionMasterKeyBase64: master } : {}),
});

const echo = new Echo({
  broadcaster: "pusher",
  Pusher,
  key: app.key,
  cluster: "local",
  wsHost: hostname,
  wsPort: Number(port),
  forceTLS: false,
  enabledTransports: ["ws"],
  withoutInterceptors: true,
  channelAuthorization: {
    customHandler({ socketId, channelName }, done) {
      const isMember = channelName.startsWith("presence-");
      const data = isMember ? { user_id: user.id, user_info: user.info } : undefined;
      done(null, backend.authorizeChannel(socketId, channelName, data));
    },
  },
});

echo.connector.pusher.connection.bind("connected", () => say("connected", { socket_id: echo.socketId() }));

function heard(channel, subscription, event) {
  subscription
    .listen(event, (data) => say("event", { channel, event, data }))
    .subscribed(() => say("subscribed", { channel }))
    .error((error) => say("refused", { channel, error }));
  return subscription;
}

orders({
  listen: ({ channel, event }) => heard(channel, echo.channel(channel), event),
  private: ({ channel, event }) =>
    heard(channel, echo.private(channel), event).listenForWhisper("typing", (data) =>
      say("whisper", { channel, data }),
    ),
  encrypted: ({ channel, event }) => heard(channel, echo.encryptedPrivate(channel), event),
  join: ({ channel, event }) =>
    heard(
      channel,
      echo
        .join(channel)
        .here((users) => say("here", { channel, users }))
        .joining((joined) => say("joining", { channel, user: joined }))
        .leaving((left) => say("leaving", { channel, user: left })),
      event,
    ).listenForWhisper("typing", (data) => say("whisper", { channel, data })),
  whisper: ({ channel, event, data }) => echo.join(channel).whisper(event, data),
  leave: ({ channel }) => echo.leave(channel),
  status: () => say("status", { status: echo.connectionStatus(), socket_id: echo.socketId() }),
});

// A client with npm pusher-js. The npm library `pusher` signs its subscriptions in this process, as a back
// end would.
//
// Options: url (http://…), app ({id, key, secret}), user ({id, info, watchlist}; for presence channels and
// for sign-in), master (the key of encrypted channels, base64), forged (true: signatures are wrong), by_user
// (true: presence channels get no data, so that the signed-in user counts), resume (true: it resumes).
// Orders: {do:"subscribe",channel}, {do:"unsubscribe",channel}, {do:"trigger",channel,event,data},
// {do:"signin"}, {do:"disconnect"}, {do:"connect"}, {do:"members",channel}.
import Pusher from "pusher-js";
import Backend from "pusher";
import resume from "../../clients/pusher-resume.js";
import { options, orders, say } from "./lines.mjs";

const { app, user = {}, master } = options;
const { hostname, port } = new URL(options.url);
const backend = new Backend({
  appId: app.id,
  key: app.key,
  secret: options.forged ? "another secret" : app.secret,
  ...(master ? { encryptionMasterKeyBase64: master } : {}),
});

// Errors of a signer reach the library as they would from a back end.
const signed = (sign) => (params, done) => {
  let answer;
  try {
    answer = sign(params);
  } catch (error) {
    return done(error, null);
  }
  done(null, answer);
};

const pusher = new Pusher(app.key, {
  cluster: "local",
  wsHost: hostname,
  wsPort: Number(port),
  forceTLS: false,
  enabledTransports: ["ws"],
  channelAuthorization: {
    customHandler: signed(({ socketId, channelName }) => {
      const isMember = channelName.startsWith("presence-") && !options.by_user;
      const data = isMember ? { user_id: user.id, user_info: user.info } : undefined;
      return backend.authorizeChannel(socketId, channelName, data);
    }),
  },
  userAuthentication: {
    customHandler: signed(({ socketId }) =>
      backend.authenticateUser(socketId, { id: user.id, user_info: user.info, watchlist: user.watchlist }),
    ),
  },
});

if (options.resume) resume(pusher);

// The members as the library knows them.
const members = (channel) => ({
  channel: channel.name,
  members: channel.members.members,
  count: channel.members.count,
  me: channel.members.me,
});

// The library hands its listeners the events of a channel here, whatever their names.
function listen(channel) {
  const emit = channel.emit.bind(channel);
  channel.emit = (event, data, metadata) => {
    if (event === "pusher:subscription_succeeded") {
      say("subscribed", channel.members ? members(channel) : { channel: channel.name });
    } else {
      say("event", { channel: channel.name, event, data, user_id: metadata?.user_id });
    }
    return emit(event, data, metadata);
  };
}

pusher.connection.bind("state_change", ({ previous, current }) => {
  say("state", { previous, current, socket_id: pusher.connection.socket_id });
});
pusher.connection.bind("error", (error) => say("error", { code: error?.data?.code ?? error?.error?.data?.code }));
pusher.connection.bind("message", (message) => {
  if (message.event === "pusher:signin_success") say("signed_in", { data: message.data });
});
pusher.user.bind_global((event, data) => say("user_event", { event, data }));
for (const name of ["online", "offline"]) {
  pusher.user.watchlist.bind(name, (event) => say("watched", event));
}

orders({
  subscribe({ channel: name }) {
    const known = pusher.channel(name);
    const channel = pusher.channels.add(name, pusher);
    if (!known) listen(channel);
    pusher.subscribe(name);
  },
  unsubscribe: ({ channel }) => pusher.unsubscribe(channel),
  trigger: ({ channel, event, data }) => pusher.channel(channel).trigger(event, data),
  members: ({ channel }) => say("members", members(pusher.channel(channel))),
  signin: () => pusher.signin(),
  disconnect: () => pusher.disconnect(),
  connect: () => pusher.connect(),
});

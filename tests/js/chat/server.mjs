// A small chat, as it is written for Pusher: Express, npm pusher, and a page with npm laravel-echo over npm
// pusher-js. It takes nothing but what Pusher's and Laravel's documentation say, from the variables of a Laravel
// application: PUSHER_APP_ID, PUSHER_APP_KEY, PUSHER_APP_SECRET, PUSHER_APP_CLUSTER, PUSHER_HOST, PUSHER_PORT,
// PUSHER_SCHEME, and PUSHER_MASTER_KEY, the key of encrypted channels in base64.
import { randomUUID } from "node:crypto";
import path from "node:path";
import { fileURLToPath } from "node:url";
import express from "express";
import Pusher from "pusher";

const here = path.dirname(fileURLToPath(import.meta.url));
const scripts = (name) => express.static(path.join(here, "../node_modules", name, "dist"));

const users = {
  ada: { id: "ada", name: "Ada", friends: ["bob"] },
  bob: { id: "bob", name: "Bob", friends: ["ada"] },
};
const rooms = { 1: ["ada", "bob"], 2: [] };

function client(env) {
  const options = {
    appId: env.PUSHER_APP_ID,
    key: env.PUSHER_APP_KEY,
    secret: env.PUSHER_APP_SECRET,
    cluster: env.PUSHER_APP_CLUSTER || "mt1",
    useTLS: (env.PUSHER_SCHEME || "https") === "https",
    encryptionMasterKeyBase64: env.PUSHER_MASTER_KEY,
  };
  if (env.PUSHER_HOST) Object.assign(options, { host: env.PUSHER_HOST, port: env.PUSHER_PORT });
  return new Pusher(options);
}

// What routes/channels.php decides in Laravel.
function mayJoin(user, channel) {
  const own = /^private-App\.Models\.User\.(\w+)$/.exec(channel);
  if (own) return own[1] === user.id;
  const room = /^(?:private|presence)-(?:encrypted-|cache-)?room\.(\d+)$/.exec(channel);
  return Boolean(room && rooms[room[1]]?.includes(user.id));
}

// The pages that sign, as pusher-js and Echo ask for them.
function signing(app, pusher, signedIn) {
  app.post("/broadcasting/auth", signedIn, (request, response) => {
    const { socket_id: socket, channel_name: channel } = request.body;
    if (!mayJoin(request.user, channel)) return response.sendStatus(403);
    const { id, name } = request.user;
    const member = channel.startsWith("presence-") ? { user_id: id, user_info: { id, name } } : undefined;
    response.json(pusher.authorizeChannel(socket, channel, member));
  });
  app.post("/broadcasting/user-auth", signedIn, (request, response) => {
    const { id, name, friends } = request.user;
    response.json(pusher.authenticateUser(request.body.socket_id, { id, user_info: { name }, watchlist: friends }));
  });
}

// What the page asks for, and what the back end publishes then.
function publishing(app, pusher, signedIn) {
  const post = (route, act) =>
    app.post(route, signedIn, async (request, response) => {
      try {
        const answer = await act(request);
        response.json(await answer.json());
      } catch (error) {
        response.status(502).json({ error: error.message, status: error.status, body: error.body });
      }
    });
  // event(new MessageSent(…)), broadcast to others.
  post("/rooms/:room/messages", ({ params, body, user }) =>
    pusher.trigger(`presence-room.${params.room}`, "App\\Events\\MessageSent", { from: user.name, text: body.text }, {
      socket_id: body.socket,
      info: "user_count",
    }),
  );
  post("/announce", ({ body }) =>
    pusher.trigger(
      ["announcements", "cache-headline", "private-room.1", "private-cache-room.1"],
      "App\\Events\\Announced",
      { text: body.text },
    ),
  );
  post("/secret", ({ body }) =>
    pusher.trigger("private-encrypted-room.1", "App\\Events\\Announced", { text: body.text }),
  );
  post("/batch", () =>
    pusher.triggerBatch([
      { channel: "announcements", name: "App\\Events\\Announced", data: { text: "first of a batch" } },
      { channel: "private-room.1", name: "room.renamed", data: { text: "second of a batch" } },
    ]),
  );
  post("/users/:user/notify", ({ params, body }) =>
    pusher.trigger(
      `private-App.Models.User.${params.user}`,
      "Illuminate\\Notifications\\Events\\BroadcastNotificationCreated",
      { id: randomUUID(), type: "App\\Notifications\\InvoicePaid", text: body.text },
    ),
  );
  post("/users/:user/poke", ({ params, user }) => pusher.sendToUser(params.user, "poke", { from: user.name }));
  post("/rooms/:room/members", ({ params }) => pusher.get({ path: `/channels/presence-room.${params.room}/users` }));
}

// Starts the application. What comes over webhooks is told to `told`. Returns the server.
export function serve(env, told = console.log) {
  const pusher = client(env);
  const app = express();
  const sessions = new Map();
  app.use("/js/pusher-js", scripts("pusher-js"));
  app.use("/js/laravel-echo", scripts("laravel-echo"));
  app.use(express.static(path.join(here, "page")));
  // The signature is one of the body as it came.
  app.post("/webhooks", express.text({ type: "*/*" }), (request, response) => {
    const webhook = pusher.webhook({ rawBody: request.body, headers: request.headers });
    const valid = webhook.isValid();
    told("webhook", { valid, events: valid ? webhook.getEvents() : [], body: request.body });
    response.sendStatus(valid ? 200 : 401);
  });
  app.use(express.json(), express.urlencoded({ extended: false }));
  app.post("/login", (request, response) => {
    const session = randomUUID();
    sessions.set(session, users[request.body.user]);
    response.cookie("session", session, { httpOnly: true, sameSite: "lax" });
    // What the page of a Laravel application knows through Vite.
    const { PUSHER_APP_KEY: key, PUSHER_APP_CLUSTER: cluster = "mt1" } = env;
    const { PUSHER_HOST: host, PUSHER_PORT: port, PUSHER_SCHEME: scheme = "https" } = env;
    response.json({ user: users[request.body.user], pusher: { key, cluster, host, port, scheme } });
  });
  const signedIn = (request, response, next) => {
    const session = /(?:^|; )session=([^;]+)/.exec(request.headers.cookie ?? "");
    request.user = session && sessions.get(session[1]);
    return request.user ? next() : response.sendStatus(403);
  };
  signing(app, pusher, signedIn);
  publishing(app, pusher, signedIn);
  return app.listen(Number(env.PORT || 0), "127.0.0.1");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const server = serve(process.env);
  server.on("listening", () => console.log(`http://127.0.0.1:${server.address().port}/?user=ada`));
}

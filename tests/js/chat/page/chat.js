// The page of the chat, as Laravel's documentation writes one with Echo.
"use strict";

const show = (id, text) => (document.getElementById(id).textContent = text);
const members = new Map();

// Tells whoever drives the page what happens, if there is such a driver.
const told = (kind, more = {}) => window.say?.(kind, more);

async function post(path, body = {}) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...body, socket: window.echo?.socketId() }),
  });
  return { status: answer.status, body: await answer.json() };
}

function connect({ key, cluster, host, port, scheme }) {
  const options = { broadcaster: "pusher", key, cluster, forceTLS: scheme === "https", enabledTransports: ["ws"] };
  if (host) Object.assign(options, { wsHost: host, wsPort: port ?? 80, wssPort: port ?? 443 });
  return new Echo.default(options);
}

// What is told of every kind of channel.
function heard(channel, subscription, event) {
  return subscription
    .subscribed(() => told("subscribed", { channel }))
    .error((error) => told("refused", { channel, error }))
    .listen(event, (data) => told("event", { channel, event, data }));
}

function listen(echo, user) {
  heard("announcements", echo.channel("announcements"), "Announced");
  heard("cache-headline", echo.channel("cache-headline"), "Announced").on("pusher:cache_miss", () =>
    told("cache_miss", { channel: "cache-headline" }),
  );
  heard("private-room.1", echo.private("room.1"), "Announced")
    .listen(".room.renamed", (data) => told("event", { channel: "private-room.1", event: "room.renamed", data }))
    .listenForWhisper("typing", (data) => {
      show("typing", `${data.name} is typing`);
      told("whisper", { channel: "private-room.1", data });
    });
  heard("private-cache-room.1", echo.private("cache-room.1"), "Announced");
  heard("private-encrypted-room.1", echo.encryptedPrivate("room.1"), "Announced");
  heard("private-room.2", echo.private("room.2"), "Announced");
  heard("private-user", echo.private(`App.Models.User.${user.id}`), "Announced").notification((data) =>
    told("notification", { data }),
  );
}

function join(echo) {
  const redraw = () => show("members", [...members.values()].sort().join(" and "));
  const room = echo.join("room.1").here((all) => {
    members.clear();
    for (const { id, name } of all) members.set(id, name);
    redraw();
    told("here", { members: [...members.keys()].sort() });
  });
  room.joining(({ id, name }) => {
    members.set(id, name);
    redraw();
    told("joining", { id });
  });
  room.leaving(({ id }) => {
    members.delete(id);
    redraw();
    told("leaving", { id });
  });
  room.listenForWhisper("wave", (data) => told("whisper", { channel: "presence-room.1", data }));
  heard("presence-room.1", room, "MessageSent").listen("MessageSent", ({ from, text }) => {
    const line = document.createElement("li");
    line.textContent = `${from}: ${text}`;
    document.getElementById("messages").append(line);
  });
}

function signIn({ pusher }) {
  pusher.bind("pusher:signin_success", (data) => told("signed_in", { data }));
  pusher.user.bind("poke", (data) => told("poke", { data }));
  for (const name of ["online", "offline"]) {
    pusher.user.watchlist.bind(name, (event) => told("watched", event));
  }
  pusher.signin();
}

async function start() {
  const user = new URLSearchParams(location.search).get("user");
  const { body } = await post("/login", { user });
  const echo = (window.echo = connect(body.pusher));
  const { connection } = echo.connector.pusher;
  connection.bind("state_change", ({ previous, current }) => {
    show("state", current);
    told("state", { previous, current });
  });
  connection.bind("error", (error) => told("failed", { error }));
  listen(echo, body.user);
  join(echo);
  signIn(echo.connector);
  document.getElementById("send").onsubmit = (event) => {
    event.preventDefault();
    post("/rooms/1/messages", { text: event.target.text.value });
  };
}

// Room 1 has a private channel, where people type, and a presence channel, where they wave.
window.whisper = (event, data) =>
  (event === "typing" ? window.echo.private("room.1") : window.echo.join("room.1")).whisper(event, data);
window.post = post;
start();

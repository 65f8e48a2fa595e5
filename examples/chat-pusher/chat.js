// A chat room over the Pusher protocol, as pages of Pusher are written. The back end signs who joins
// (server.mjs).
const name = new URLSearchParams(location.search).get("name") ?? "Guest";
const { key, host, port } = await (await fetch("/settings")).json();
const element = (id) => document.getElementById(id);

const pusher = new Pusher(key, {
  cluster: "local", // pusher-js wants one; nothing depends on it
  wsHost: host,
  wsPort: port,
  forceTLS: false,
  enabledTransports: ["ws"],
  channelAuthorization: { endpoint: "/auth", params: { name } },
});
pusher.connection.bind("state_change", ({ current }) => (element("state").textContent = current));

const room = pusher.subscribe("presence-lobby");

function show(from, text) {
  const line = document.createElement("li");
  line.textContent = `${from}: ${text}`;
  element("messages").append(line);
}

function members() {
  const names = [];
  room.members.each(({ info }) => names.push(info.name));
  element("members").textContent = names.sort().join(", ");
}

for (const event of ["pusher:subscription_succeeded", "pusher:member_added", "pusher:member_removed"]) {
  room.bind(event, members);
}
room.bind("said", ({ name, text }) => {
  element("typing").textContent = "";
  show(name, text);
});
// A client event: it goes from page to page, and never through the back end.
room.bind("client-typing", (_, { user_id }) => (element("typing").textContent = `${user_id} is typing`));

const input = element("send").querySelector("input");
let told = 0; // when we last said that we type
input.addEventListener("input", () => {
  if (Date.now() - told < 1000) return;
  told = Date.now();
  room.trigger("client-typing", {});
});
element("send").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = input.value.trim();
  if (!text) return;
  input.value = "";
  const body = new URLSearchParams({ name, text, socket_id: pusher.connection.socket_id });
  const answer = await fetch("/messages", { method: "POST", body });
  show(name, answer.ok ? text : `not sent: ${await answer.text()}`);
});

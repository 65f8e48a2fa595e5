// A chat room without a back end: clients publish to the room's subject, and presence tells who is there.
// After a break the page gets what it has missed, at whatever node.
//
// After # in the page's address stand token and name, and if need be url, map and room.
import { Presence, Socket } from "phoenix";

const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const { url = "http://127.0.0.1:4000", map = "demo", room = "lobby", name = "Guest", token = "" } = given;
const element = (id) => document.getElementById(id);

let last; // our position: the id of the last event that came
const own = new Set(); // the ids of what this page has said
const unanswered = new Set(); // what it has said without an answer so far

const socket = new Socket(`${url.replace(/^http/, "ws")}/socket/events`, { authToken: token });
socket.onOpen(() => (element("state").textContent = "connected"));
socket.onError(() => (element("state").textContent = "connecting"));
socket.connect();

// phoenix calls this function at every join, so that a join after a break goes on where the page was.
const chat = socket.channel(`events:map:${map}:room-${room}`, () => ({
  ...(last ? { last_event_id: last } : { backfill: 50 }),
  presence: { user_id: name, meta: { name } },
}));

function show(from, text) {
  const line = document.createElement("li");
  line.textContent = `${from}: ${text}`;
  element("messages").append(line);
}

chat.on("said", ({ id, payload }) => {
  last = id;
  // After a break the page's own messages come among those that it has missed.
  if (own.has(id)) return;
  if (payload.name === name) unanswered.delete(payload.text); // it has arrived, whatever became of the answer
  show(payload.name, payload.text);
});

const presence = new Presence(chat);
presence.onSync(() => {
  const names = presence.list((_, { metas: [first] }) => first.name);
  element("members").textContent = names.sort().join(", ");
});

chat
  .join()
  .receive("ok", ({ last_event_id, gap }) => {
    last ??= last_event_id;
    if (gap) show("…", "some messages are no longer kept");
  })
  .receive("error", ({ reason }) => (element("state").textContent = reason));

element("send").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = element("send").querySelector("input");
  const text = input.value.trim();
  if (!text) return;
  input.value = "";
  unanswered.add(text);
  chat
    .push("said", { name, text })
    .receive("ok", ({ id }) => {
      own.add(id);
      unanswered.delete(text);
      show(name, text);
    })
    .receive("error", ({ reason }) => {
      unanswered.delete(text);
      show("…", `not sent: ${reason}`);
    })
    .receive("timeout", () => {
      // Without an answer nobody knows whether it was stored, unless it has come back meanwhile.
      if (unanswered.delete(text)) show("…", "no answer: it may have been sent");
    });
});

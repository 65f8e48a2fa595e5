// npm phoenix' Presence over WebSocket, unchanged: it shows who is there after each change, and who came and
// went.
//
// Options: url (http://…), token, topic, params (join params).
// Orders: {do:"push",event,payload}, {do:"leave"}, {do:"drop"} (the socket breaks off and comes back).
import WebSocket from "ws";
import { Presence, Socket } from "phoenix";
import { options, orders, say } from "./lines.mjs";

const { url, token, topic, params = {} } = options;
const socket = new Socket(`${url.replace(/^http/, "ws")}/socket/events`, {
  transport: WebSocket,
  vsn: "2.0.0",
  params: { token },
});
socket.onOpen(() => say("open"));
socket.onClose((event) => say("close", { code: event?.code }));

const channel = socket.channel(topic, params);
const presence = new Presence(channel);
presence.onJoin((key, before, { metas }) => say("joined", { key, again: before !== undefined, metas }));
presence.onLeave((key, { metas: left }, { metas }) => say("left", { key, stays: left.length > 0, metas }));
presence.onSync(() => {
  const members = Object.fromEntries(presence.list((key, { metas }) => [key, metas]));
  say("members", { members });
});
channel
  .join()
  .receive("ok", (response) => say("join", { status: "ok", response }))
  .receive("error", (response) => say("join", { status: "error", response }))
  .receive("timeout", () => say("join", { status: "timeout" }));
socket.connect();

orders({
  push: ({ event, payload }) =>
    channel
      .push(event, payload)
      .receive("ok", (response) => say("reply", { status: "ok", response }))
      .receive("error", (response) => say("reply", { status: "error", response })),
  leave: () => channel.leave().receive("ok", () => say("left_channel")),
  drop: () => socket.conn.terminate(),
});

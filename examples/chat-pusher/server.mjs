// The back end of the chat: it signs who may join, and publishes what is said. It knows Waypost only as a
// host of the Pusher protocol.
//
// Settings: PUSHER_APP_ID, PUSHER_APP_KEY, PUSHER_APP_SECRET; PUSHER_HOST, PUSHER_PORT (Waypost); PORT (of
// this server).
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import Pusher from "pusher";

const {
  PUSHER_APP_ID,
  PUSHER_APP_KEY,
  PUSHER_APP_SECRET,
  PUSHER_HOST = "127.0.0.1",
  PUSHER_PORT = "4000",
  PORT = "3000",
} = process.env;

const pusher = new Pusher({
  appId: PUSHER_APP_ID,
  key: PUSHER_APP_KEY,
  secret: PUSHER_APP_SECRET,
  host: PUSHER_HOST,
  port: PUSHER_PORT,
  useTLS: false,
});

const FILES = {
  "/": ["index.html", "text/html"],
  "/chat.js": ["chat.js", "text/javascript"],
  "/pusher.js": ["node_modules/pusher-js/dist/web/pusher.min.js", "text/javascript"],
};

async function form(request) {
  let text = "";
  for await (const part of request) {
    text += part;
    if (text.length > 10_000) throw new Error("too large");
  }
  return new URLSearchParams(text);
}

// Here your application knows from its session who asks. This one believes the name that the page gives.
const user = (fields) => ({ user_id: fields.get("name"), user_info: { name: fields.get("name") } });

async function answer(request) {
  const { pathname } = new URL(request.url, "http://localhost");
  if (request.method === "GET" && FILES[pathname]) {
    const [file, type] = FILES[pathname];
    return [200, type, await readFile(new URL(file, import.meta.url))];
  }
  if (request.method === "GET" && pathname === "/settings") {
    const settings = { key: PUSHER_APP_KEY, host: PUSHER_HOST, port: Number(PUSHER_PORT) };
    return [200, "application/json", JSON.stringify(settings)];
  }
  if (request.method === "POST" && pathname === "/auth") {
    const fields = await form(request);
    const channel = fields.get("channel_name");
    if (channel !== "presence-lobby") return [403, "text/plain", "there is no such room"];
    const signed = pusher.authorizeChannel(fields.get("socket_id"), channel, user(fields));
    return [200, "application/json", JSON.stringify(signed)];
  }
  if (request.method === "POST" && pathname === "/messages") {
    const fields = await form(request);
    const message = { name: user(fields).user_info.name, text: fields.get("text") };
    // To all but the page that says it.
    await pusher.trigger("presence-lobby", "said", message, { socket_id: fields.get("socket_id") });
    return [200, "text/plain", "said"];
  }
  return [404, "text/plain", "not found"];
}

const server = createServer(async (request, response) => {
  const [status, type, body] = await answer(request).catch((error) => [502, "text/plain", error.message]);
  response.writeHead(status, { "content-type": type }).end(body);
});
server.on("error", (error) => {
  if (error.code !== "EADDRINUSE") throw error;
  console.error(`port ${PORT} is taken: set PORT to another one`);
  process.exit(1);
});
server.listen(Number(PORT), "127.0.0.1", () => {
  console.log(`http://localhost:${server.address().port}/?name=Ada`);
});

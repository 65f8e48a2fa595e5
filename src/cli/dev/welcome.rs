//! The text that `waypost dev` prints when all nodes are ready: commands to copy.

use std::{io, path::PathBuf};

use super::{
    super::output::{self, NAME, STRONG, paint},
    demo::{APP_ID, Demo, KEY, SECRET, SLUG},
    nodes::{Nodes, name},
};

pub(super) fn print(nodes: &Nodes, admin: &str, demo: &Demo) -> io::Result<()> {
    let Demo { id, token } = demo;
    let [one, two, three] = [0, 1, 2].map(|node| nodes.url(node));
    let socket = two.replacen("http", "ws", 1);
    let waypost = program();
    let head = |text: &str| paint(STRONG, text);
    output::line(head("Waypost is ready: three nodes, one cluster. Ctrl-C ends it."))?;
    for node in 0..nodes.count() {
        let url = paint(NAME, nodes.url(node));
        let log = nodes.log(node);
        let pid = nodes.pid(node);
        output::line(format_args!("  {:<12} {url}   pid {pid:<8} log {}", name(node), log.display()))?;
    }
    output::line(format_args!(
        "  admin token  {admin}
  demo map     {SLUG}, id {id}
  its token    {token}
  its app      id {APP_ID}, key {KEY}, secret {SECRET} (for Pusher clients and back ends)
  console      {one}/console/ (sign in with the admin token)
  to read      {one}/docs, and {one}/docs/api about the API
"
    ))?;
    output::line(format_args!(
        "{}
export WAYPOST_URL={one} WAYPOST_MAP={SLUG} WAYPOST_TOKEN={token} WAYPOST_ADMIN_TOKEN={admin}

{}
{waypost} tail {SLUG}
",
        head("In another terminal, for the commands below and the examples of the documentation:"),
        head("Follow:")
    ))?;
    output::line(format_args!(
        "{}
curl -sS -w '\\n' {one}/api/maps/{SLUG}/events \\
  -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \\
  -d '{{\"type\":\"add_system\",\"payload\":{{\"name\":\"Jita\"}}}}'
",
        head("Publish, at any node:")
    ))?;
    output::line(webhook(&one, &three, token, nodes.receiver(), &waypost))?;
    output::line(format_args!("{}\n{}\n", head("Follow with phoenix.js:"), phoenix(&socket, token)))?;
    let text = head("Follow with pusher-js, and publish with the command above plus \"subject\":\"lobby\":");
    output::line(format_args!("{text}\n{}\n", pusher(&two)))?;
    output::line(format_args!(
        "{}\nWAYPOST_URL={one} WAYPOST_ADMIN_TOKEN={admin} {waypost} cluster status",
        head("Look at the cluster:")
    ))
}

/// Commands that run a receiver, create a webhook and show its deliveries.
fn webhook(one: &str, three: &str, token: &str, port: u16, waypost: &str) -> String {
    let head = paint(
        STRONG,
        "Deliver to a webhook (loopback is open to webhooks here, and nowhere else by default):",
    );
    format!(
        r#"{head}
node -e 'require("http").createServer((q, s) => q.on("end", () => s.end(console.log())).pipe(process.stdout)).listen({port}, "127.0.0.1")' &
curl -sS -w '\n' {one}/api/maps/{SLUG}/webhooks \
  -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \
  -d '{{"url":"http://127.0.0.1:{port}/hook","events":"*"}}'
WAYPOST_URL={three} WAYPOST_TOKEN={token} {waypost} webhook tail {SLUG}
"#
    )
}

/// A script for phoenix.js. Outside a browser, it must be given a WebSocket.
fn phoenix(socket: &str, token: &str) -> String {
    format!(
        r#"npm install phoenix ws
cat > demo.mjs <<'END'
import {{ Socket }} from "phoenix";
import WebSocket from "ws";
let last; // where to resume after any break
const socket = new Socket("{socket}/socket/events", {{ params: {{ token: "{token}" }}, transport: WebSocket }});
const map = socket.channel("events:map:{SLUG}", () => (last ? {{ last_event_id: last }} : {{ backfill: 10 }}));
map.onMessage = (event, payload) => {{
  if (payload?.id) console.log(event, payload.seq, payload.payload, (last = payload.id));
  return payload;
}};
socket.connect();
map.join().receive("error", console.error).receive("ok", (reply) => {{
  last = reply.last_event_id;
  if (reply.gap) console.log("some events are no longer kept: load everything again");
}});
END
node demo.mjs"#
    )
}

/// A script for pusher-js, which finds a WebSocket in Node too.
fn pusher(url: &str) -> String {
    let address = url.trim_start_matches("http://");
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "80"));
    format!(
        r#"npm install pusher-js
cat > pusher.cjs <<'END'
const Pusher = require("pusher-js");
const pusher = new Pusher("{KEY}", {{
  wsHost: "{host}", wsPort: {port}, forceTLS: false, enabledTransports: ["ws"], cluster: "none",
}});
pusher.connection.bind("state_change", (change) => console.log(change.current));
pusher.subscribe("lobby").bind_global((event, data) => console.log(event, data));
END
node pusher.cjs"#
    )
}

/// The command that runs this program from the current directory.
fn program() -> String {
    let path = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("waypost"));
    let here = std::env::current_dir().unwrap_or_default();
    match path.strip_prefix(&here) {
        // A shell would look for a bare name in `PATH`.
        Ok(name) if name.components().count() == 1 => format!("./{}", name.display()),
        below => below.unwrap_or(&path).display().to_string(),
    }
}

// A client of live sessions, as a page has it: it says who it is, subscribes, pings, and connects again when a
// connection ends, at the next node. With `resume` it loses nothing. It runs in a browser and with npm ws.
//
// Options: WebSocket (the constructor), urls (http://… of the nodes), token, sessions (the ids), resume, say(kind,
// more), which is told each frame (`frame`) and each end (`close`).
export function live({ WebSocket, urls, token, sessions, resume, say }) {
  // The last id of each session, and under "" that of the events for all.
  const last = new Map();
  const after = (key) => (resume ? { after: last.get(key) ?? null } : {});
  let turn = 0;

  function connect() {
    const ws = new WebSocket(`${urls[turn++ % urls.length].replace(/^http/, "ws")}/api/sessions/live`);
    const send = (message) => ws.send(JSON.stringify(message));
    let pings;
    ws.onopen = () => {
      send({ type: "auth", token, ...after("") });
      pings = setInterval(() => send({ type: "ping" }), 30_000);
    };
    ws.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.id) last.set(String(frame.sessionId ?? ""), frame.id);
      if (frame.type === "auth_success") {
        for (const id of sessions) send({ type: "subscribe", sessionId: id, ...after(String(id)) });
      }
      say("frame", { frame });
      // It tries again, at the next node.
      if (frame.type === "auth_error" || frame.type === "error") ws.close();
    };
    ws.onerror = () => {};
    ws.onclose = ({ code }) => {
      clearInterval(pings);
      say("close", { code });
      setTimeout(connect, 200);
    };
  }

  connect();
}

// npm phoenix over WebSocket. Options and orders: channel_client.mjs, and blocked (true: no WebSocket
// gets through, as behind some proxies; with fallback_ms phoenix then goes over to its long poll).
import WebSocket from "ws";
import { subscribe } from "./channel_client.mjs";
import { options } from "./lines.mjs";

class Blocked extends WebSocket {
  constructor(url, protocols) {
    // Nothing listens on this port.
    super("ws://127.0.0.1:1/", protocols);
  }
}

subscribe({ scheme: "ws", constructor: options.blocked ? Blocked : WebSocket });

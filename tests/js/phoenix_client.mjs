// npm phoenix over WebSocket. Options and orders: channel_client.mjs.
import WebSocket from "ws";
import { subscribe } from "./channel_client.mjs";

subscribe({ scheme: "ws", constructor: WebSocket });

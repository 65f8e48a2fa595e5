// A client of live sessions with npm ws. Options: urls, token, sessions, resume (see live/client.js).
import WebSocket from "ws";
import { live } from "./live/client.js";
import { options, orders, say } from "./lines.mjs";

live({ ...options, WebSocket, say });
orders({});

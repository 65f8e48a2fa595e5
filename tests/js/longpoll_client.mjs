// npm phoenix over its long poll. Options and orders: channel_client.mjs.
import { LongPoll } from "phoenix";
import { subscribe } from "./channel_client.mjs";

subscribe({ scheme: "http", constructor: LongPoll });

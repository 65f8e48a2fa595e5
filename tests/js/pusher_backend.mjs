// A back end with npm pusher.
//
// Options: url (http://…), app ({id, key, secret}), master (the key of encrypted channels, base64).
// Orders, each answered by a line `answer` with n, status and body:
// {do:"trigger",n,channels,event,data,params}, {do:"batch",n,batch}, {do:"to_user",n,user,event,data},
// {do:"terminate",n,user}, {do:"get",n,path,params}.
import Backend from "pusher";
import { options, orders, say } from "./lines.mjs";

const { app, master } = options;
const { hostname, port } = new URL(options.url);
const backend = new Backend({
  appId: app.id,
  key: app.key,
  secret: app.secret,
  host: hostname,
  port,
  useTLS: false,
  ...(master ? { encryptionMasterKeyBase64: master } : {}),
});

const answered = (call) => async (order) => {
  try {
    const response = await call(order);
    say("answer", { n: order.n, status: response.status, body: await response.json() });
  } catch (error) {
    say("answer", { n: order.n, status: error.status ?? 0, body: error.body ?? String(error) });
  }
};

orders({
  trigger: answered(({ channels, event, data, params }) => backend.trigger(channels, event, data, params)),
  batch: answered(({ batch }) => backend.triggerBatch(batch)),
  to_user: answered(({ user, event, data }) => backend.sendToUser(user, event, data)),
  terminate: answered(({ user }) => backend.terminateUserConnections(user)),
  get: answered(({ path, params }) => backend.get({ path, params })),
});
say("ready");

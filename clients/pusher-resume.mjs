// pusherResume(client): a client of pusher-js, or an Echo, resumes its durable channels when it reconnects.
function pusherResume(client) {
  var pusher = client.connector ? client.connector.pusher : client;
  var last = Object.create(null);
  var sockets = [];
  var send = pusher.send_event;
  pusher.send_event = function (name, data, channel) {
    if (name === "pusher:subscribe" && last[data.channel]) {
      data.after = last[data.channel];
      data.former_sockets = sockets;
    }
    if (name === "pusher:unsubscribe") delete last[data.channel];
    return send.call(pusher, name, data, channel);
  };
  // The library drops the ids of events.
  function listen() {
    sockets = [pusher.connection.socket_id].concat(sockets).slice(0, 16);
    pusher.connection.connection.transport.bind("message", function (message) {
      var frame = JSON.parse(message.data);
      if (frame.id && pusher.channel(frame.channel)) last[frame.channel] = frame.id;
    });
  }
  pusher.connection.bind("connected", listen);
  if (pusher.connection.state === "connected") listen();
  return client;
}
export default pusherResume;

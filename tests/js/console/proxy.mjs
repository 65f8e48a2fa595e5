// A proxy before the nodes: it passes each request to the first node that takes the connection.
import { once } from "node:events";
import http from "node:http";

/** Starts it at the host of the first node, for which the cookie is, and returns its URL. */
export async function proxy(urls) {
  const server = http.createServer((request, response) => pass(request, response, [...urls]));
  const host = new URL(urls[0]).hostname;
  server.listen(0, host);
  await once(server, "listening");
  return `http://${host}:${server.address().port}`;
}

async function pass(request, response, left) {
  const body = Buffer.concat(await request.toArray());
  const attempt = () => {
    if (response.destroyed) return undefined;
    const url = left.shift();
    if (url === undefined) return response.headersSent ? response.destroy() : response.writeHead(502).end();
    const { hostname, port } = new URL(url);
    const { method, url: path, headers } = request;
    const onward = http.request({ hostname, port, method, path, headers, agent: false });
    let answered = false;
    onward.on("response", (answer) => {
      answered = true;
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
      answer.on("error", () => response.destroy());
    });
    // A node that is gone has not taken the request. One that goes in the middle of an answer ends the answer.
    onward.on("error", () => (answered ? response.destroy() : attempt()));
    response.on("close", () => onward.destroy());
    onward.end(body);
    return undefined;
  };
  attempt();
}

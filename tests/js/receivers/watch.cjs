// Loaded before a receiver (`node -r`), which it leaves as it is: prints one JSON line when it
// listens and one per request that it answered, with the body that came by; ends it when standard
// input closes.
const http = require('node:http');

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const emit = http.Server.prototype.emit;

// Sees what others read, and reads nothing itself.
function tap(req) {
  const chunks = [];
  const emitted = req.emit;
  req.emit = function (name, ...args) {
    if (name === 'data') chunks.push(args[0]);
    return emitted.call(this, name, ...args);
  };
  return chunks;
}

http.Server.prototype.emit = function (name, ...args) {
  if (name === 'listening') say({ t: 'listening', port: this.address().port });
  if (name === 'request') {
    const [req, res] = args;
    const chunks = tap(req);
    res.on('finish', () => {
      const { statusCode: status } = res;
      const body = Buffer.concat(chunks).toString();
      say({ t: 'request', verified: status === 200, status, id: req.headers['webhook-id'] ?? null, url: req.url, body });
    });
  }
  return emit.call(this, name, ...args);
};

process.stdin.on('end', () => process.exit(0)).resume();

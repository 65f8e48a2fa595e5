// Loaded before a receiver (`node -r`), which it leaves as it is: prints one JSON line when it
// listens and one per request that it answered, and ends it when standard input closes.
const http = require('node:http');

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
const emit = http.Server.prototype.emit;

http.Server.prototype.emit = function (name, ...args) {
  if (name === 'listening') say({ t: 'listening', port: this.address().port });
  if (name === 'request') {
    const [req, res] = args;
    res.on('finish', () => {
      const { statusCode: status } = res;
      say({ t: 'request', verified: status === 200, status, id: req.headers['webhook-id'] ?? null, url: req.url });
    });
  }
  return emit.call(this, name, ...args);
};

process.stdin.on('end', () => process.exit(0)).resume();

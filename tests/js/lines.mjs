// What every client here shares: options from the command line, one JSON line per thing that
// happens, orders as JSON lines on standard input, and an end when standard input closes (so that
// no client outlives the test that started it).
import readline from "node:readline";

export const options = JSON.parse(process.argv[2] ?? "{}");

export function say(t, more = {}) {
  process.stdout.write(`${JSON.stringify({ t, ...more })}\n`);
}

export function orders(handlers) {
  const input = readline.createInterface({ input: process.stdin });
  input.on("line", (line) => {
    const order = JSON.parse(line);
    const handler = handlers[order.do];
    if (handler) handler(order);
    else say("error", { message: `unknown order ${order.do}` });
  });
  input.on("close", () => process.exit(0));
}

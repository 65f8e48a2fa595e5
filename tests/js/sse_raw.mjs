// A stream as fetch reads it, chunk by chunk, unparsed: for those who look at the bytes.
//
// Options: url, headers (object).
import { options, orders, say } from "./lines.mjs";

orders({});
try {
  const response = await fetch(options.url, { headers: options.headers ?? {} });
  say("head", { status: response.status, headers: Object.fromEntries(response.headers) });
  const decoder = new TextDecoder();
  for await (const bytes of response.body) {
    say("chunk", { text: decoder.decode(bytes, { stream: true }) });
  }
  say("end");
} catch (error) {
  say("error", { message: String(error?.cause?.message ?? error) });
}

// The requests of tests that were made on this page. Their events are stored nowhere, so no node can make them again.
import type { MadeRequest } from "./preview";

/** How many are remembered. */
const MOST = 20;
const requests = new Map<string, MadeRequest>();

/** Remembers the request of a test by its message. The oldest make room. */
export function rememberTested(message: string, request: MadeRequest): void {
  requests.delete(message);
  requests.set(message, request);
  for (const oldest of requests.keys()) {
    if (requests.size <= MOST) break;
    requests.delete(oldest);
  }
}

/** The request of a test; null if it was not made on this page. */
export function testedRequest(message: string): MadeRequest | null {
  return requests.get(message) ?? null;
}

// What a portal link brings, and whom the page may tell how tall it is.

/** Reads the token of a link from the fragment of its address; null if there is none that could be a token. */
export function tokenOf(hash: string): string | null {
  const text = hash.replace(/^#/, "");
  // A token never has a slash, so the address of a page inside the portal is none.
  return /^[A-Za-z0-9._~+=-]{16,4096}$/.test(text) ? text : null;
}

/**
 * The origin of the page that shows this one in a frame; null if the browser does not say. `frame-ancestors` of the
 * portal's answer has let only allowed origins through, so this is one of them.
 */
export function parentOrigin(ancestors: readonly string[] | null, referrer: string): string | null {
  const named = ancestors?.[0];
  if (named !== undefined) return originOf(named);
  return originOf(referrer);
}

function originOf(address: string): string | null {
  try {
    const url = new URL(address);
    return url.protocol === "https:" || url.protocol === "http:" ? url.origin : null;
  } catch {
    return null;
  }
}

/** What somebody may do. */
export interface Rights {
  readWebhooks: boolean;
  writeWebhooks: boolean;
  readConsumers: boolean;
  writeConsumers: boolean;
}

/** What the scopes of a link permit. A scope to change does not permit to see, and without seeing nothing is shown. */
export function rightsOf(scopes: readonly string[]): Rights {
  const readWebhooks = scopes.includes("webhooks:read");
  const readConsumers = scopes.includes("consumers:read");
  return {
    readWebhooks,
    writeWebhooks: readWebhooks && scopes.includes("webhooks:write"),
    readConsumers,
    writeConsumers: readConsumers && scopes.includes("consumers:write"),
  };
}

/** The message in which the page tells the page around it how tall it is. */
export interface HeightMessage {
  type: "waypost:height";
  /** CSS pixels, rounded up. */
  height: number;
}

/** Makes that message. */
export function heightMessage(height: number): HeightMessage {
  return { type: "waypost:height", height: Math.max(0, Math.min(100_000, Math.ceil(height))) };
}

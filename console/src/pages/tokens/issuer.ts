// An issuer of client tokens: as the API shows it, as fields, and as the API takes it.
import type { Schemas } from "../../api";

export type IssuerBody = Omit<Schemas["IssuerForm"], "connections"> & { connections?: number | null };
export type Issuer = Schemas["IssuerBase"] & { inserted_at: string };
export type Algorithm = IssuerBody["algorithm"];
export type KeyKind = "secret" | "pem" | "jwks" | "jwks_url";

export const CLAIMS = ["map", "scopes", "subjects", "filter", "connections"] as const;

export interface Draft {
  name: string;
  algorithm: Algorithm;
  kind: KeyKind;
  /** The key as it is given: a secret, a PEM text, a JWKS document or its address. */
  key: string;
  issuer: string;
  audience: string;
  connections: string;
  claims: Record<(typeof CLAIMS)[number], string>;
}

/** The body that leaves an issuer as it is. Its secret is never shown, and is kept if it is left out. */
export function unchanged(issuer: Issuer): IssuerBody {
  const { secret: _secret, inserted_at: _since, ...rest } = issuer;
  return rest;
}

export function keyKind(issuer: Issuer): KeyKind {
  if (issuer.algorithm === "HS256") return "secret";
  return issuer.jwks_url != null ? "jwks_url" : issuer.jwks != null ? "jwks" : "pem";
}

/** Where the key of an issuer is from, in words. */
export function keySource(issuer: Issuer): string {
  const kind = keyKind(issuer);
  if (kind === "jwks_url") return issuer.jwks_url ?? "";
  return { secret: "a shared secret", pem: "a public key", jwks: "a JWKS document" }[kind];
}

export function toDraft(issuer: Issuer | null): Draft {
  const claims = Object.fromEntries(CLAIMS.map((name) => [name, issuer?.claims?.[name] ?? ""])) as Draft["claims"];
  if (issuer === null) {
    return { name: "", algorithm: "HS256", kind: "secret", key: "", issuer: "", audience: "", connections: "", claims };
  }
  const kind = keyKind(issuer);
  const keys = {
    secret: "",
    pem: issuer.pem ?? "",
    jwks: issuer.jwks == null ? "" : JSON.stringify(issuer.jwks, null, 2),
    jwks_url: issuer.jwks_url ?? "",
  };
  return {
    name: issuer.name,
    algorithm: issuer.algorithm,
    kind,
    key: keys[kind],
    issuer: issuer.issuer ?? "",
    audience: issuer.audience ?? "",
    connections: issuer.connections == null ? "" : String(issuer.connections),
    claims,
  };
}

/** The body of a draft, and what is wrong with its fields. A secret that is not given is kept, if there is one. */
export function toBody(draft: Draft, before: Issuer | null): { body: IssuerBody; faults: Record<string, string> } {
  const faults: Record<string, string> = {};
  const body: IssuerBody = { name: draft.name.trim(), algorithm: draft.algorithm };
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(body.name)) faults["name"] = "Letters, digits, _, . and -, at most 64.";
  const kept = before !== null && draft.kind === "secret" && keyKind(before) === "secret" && draft.key === "";
  if (draft.key.trim() === "" && !kept) faults["key"] = "It is needed.";
  else if (draft.kind === "secret" && !kept) {
    if (new TextEncoder().encode(draft.key).length < 32) faults["key"] = "At least 32 bytes.";
    body.secret = draft.key;
  } else if (draft.kind === "pem") body.pem = draft.key;
  else if (draft.kind === "jwks_url") body.jwks_url = draft.key.trim();
  else if (draft.kind === "jwks") {
    try {
      body.jwks = JSON.parse(draft.key) as Record<string, never>;
    } catch {
      faults["key"] = "This is not JSON.";
    }
  }
  for (const name of ["issuer", "audience"] as const) {
    const text = draft[name].trim();
    if (text !== "") body[name] = text;
    else if (draft.kind === "jwks_url") faults[name] = "It is needed with an address of keys; * accepts any.";
  }
  if (draft.connections.trim() !== "") {
    const value = Number(draft.connections);
    if (!Number.isInteger(value) || value < 1) faults["connections"] = "A whole number of 1 or more.";
    body.connections = value;
  }
  const claims = CLAIMS.filter((name) => draft.claims[name].trim() !== "");
  if (claims.length > 0) body.claims = Object.fromEntries(claims.map((name) => [name, draft.claims[name].trim()]));
  return { body, faults };
}

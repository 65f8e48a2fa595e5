// A publish as a script. No script has a token: it reads the variable TOKEN of its environment.

import type { Json } from "../json-tree/model";
import { jsLiteral, jsonText, pythonLiteral, shellWord, textLiteral } from "./literals";

/** What a script publishes, and where. */
export interface Publish {
  /** The address of a node, such as `https://events.example.com`. */
  origin: string;
  /** Id or slug of the map. */
  map: string;
  type: string;
  /** The subject; empty is the map's own. */
  subject: string;
  payload: Json;
  /** The idempotency key; empty for none. */
  key: string;
}

/** The languages of scripts. */
export type Language = "curl" | "javascript" | "python";

/** What the languages are called. */
export const LANGUAGES: readonly { id: Language; name: string }[] = [
  { id: "curl", name: "curl" },
  { id: "javascript", name: "JavaScript" },
  { id: "python", name: "Python" },
];

/** The event as the body of the request. */
export function bodyOf(publish: Publish): { [name: string]: Json } {
  const { type, subject, payload } = publish;
  return subject === "" ? { type, payload } : { type, subject, payload };
}

function addressOf(publish: Publish): string {
  return `${publish.origin}/api/maps/${encodeURIComponent(publish.map)}/events`;
}

/** The publish as a script. */
export function publishAs(language: Language, publish: Publish): string {
  switch (language) {
    case "curl":
      return asCurl(publish);
    case "javascript":
      return asJavaScript(publish);
    case "python":
      return asPython(publish);
  }
}

function asCurl(publish: Publish): string {
  const key = publish.key === "" ? [] : [`  -H ${shellWord(`Idempotency-Key: ${publish.key}`)} \\`];
  return [
    `curl -sS -g ${shellWord(addressOf(publish))} \\`,
    `  -H "Authorization: Bearer $TOKEN" \\`,
    `  -H 'Content-Type: application/json' \\`,
    ...key,
    // Other than -d, this never takes what begins with @ for the name of a file.
    `  --data-raw ${shellWord(jsonText(bodyOf(publish)))}`,
    "",
  ].join("\n");
}

function asJavaScript(publish: Publish): string {
  const key = publish.key === "" ? [] : [`    "Idempotency-Key": ${textLiteral(publish.key)},`];
  return [
    `const response = await fetch(${textLiteral(addressOf(publish))}, {`,
    `  method: "POST",`,
    `  headers: {`,
    '    "Authorization": `Bearer ${process.env.TOKEN}`,',
    `    "Content-Type": "application/json",`,
    ...key,
    `  },`,
    `  body: JSON.stringify(${jsLiteral(bodyOf(publish), 2)}),`,
    `});`,
    "if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);",
    `console.log(await response.json());`,
    "",
  ].join("\n");
}

function asPython(publish: Publish): string {
  const key = publish.key === "" ? [] : [`        "Idempotency-Key": ${textLiteral(publish.key)},`];
  return [
    `import json`,
    `import os`,
    `import urllib.request`,
    ``,
    `request = urllib.request.Request(`,
    `    ${textLiteral(addressOf(publish))},`,
    `    data=json.dumps(${pythonLiteral(bodyOf(publish), 4)}).encode(),`,
    `    headers={`,
    `        "Authorization": f"Bearer {os.environ['TOKEN']}",`,
    `        "Content-Type": "application/json",`,
    ...key,
    `    },`,
    `)`,
    `with urllib.request.urlopen(request, timeout=10) as answer:`,
    `    print(json.load(answer))`,
    "",
  ].join("\n");
}

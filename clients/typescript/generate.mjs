// Writes src/api.ts: the types of the API's requests and answers, from docs/openapi.yaml. Run it after each change of
// that document: `npm run generate`. A test of the server compares the checksum in the file with the document's.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import openapiTS, { astToString } from "openapi-typescript";

const from = new URL("../../docs/openapi.yaml", import.meta.url);
const to = new URL("src/api.ts", import.meta.url);
const checksum = createHash("sha256").update(readFileSync(from)).digest("hex");
const types = astToString(await openapiTS(from, { alphabetize: true }));
writeFileSync(to, `// Made by generate.mjs from docs/openapi.yaml, whose SHA-256 is ${checksum}.\n\n${types}`);

// Builds dist/: the pages console.html and portal.html, and what they load in assets/. The name of each asset has a hash
// of its content. The same sources give the same bytes: `node build.mjs --check` builds in memory and compares.
import { build } from "esbuild";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { dirname, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** The most that all files may be together, each compressed with gzip, in bytes. */
const MOST = 300 * 1024;
/** Where nodes serve the assets. */
const SERVED = "/console/assets/";
const LIBRARIES = ["preact", "@preact/signals", "@preact/signals-core", "uplot"];
const here = fileURLToPath(new URL(".", import.meta.url));

/** Returns the content of each file by its path below dist. */
async function files() {
  const result = await build({
    absWorkingDir: here,
    entryPoints: { console: "src/console.tsx", portal: "src/portal.tsx" },
    outdir: "dist/assets",
    entryNames: "[name]-[hash]",
    chunkNames: "shared-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    minify: true,
    target: ["chrome123", "firefox120", "safari17.5"],
    jsx: "automatic",
    jsxImportSource: "preact",
    charset: "utf8",
    legalComments: "none",
    metafile: true,
    write: false,
    logLevel: "warning",
  });
  const all = new Map();
  for (const file of result.outputFiles)
    all.set(slashes(relative(`${here}dist`, file.path)), Buffer.from(file.contents));
  const licenses = Buffer.from(notices());
  const hash = createHash("sha256").update(licenses).digest("hex").slice(0, 8);
  all.set(`assets/licenses-${hash}.txt`, licenses);
  for (const page of ["console", "portal"]) {
    const [path, output] = Object.entries(result.metafile.outputs).find(([, o]) => o.entryPoint === `src/${page}.tsx`);
    const url = (of) => SERVED + of.slice("dist/assets/".length);
    const text = readFileSync(`${here}src/${page}.html`, "utf8");
    const filled = text
      .replaceAll("{{script}}", url(path))
      .replaceAll("{{style}}", url(output.cssBundle))
      .replaceAll("{{licenses}}", `${SERVED}licenses-${hash}.txt`);
    all.set(`${page}.html`, Buffer.from(filled));
  }
  return all;
}

/** Returns the licenses of the libraries that are built in. */
function notices() {
  return LIBRARIES.map((name) => {
    const folder = `${here}node_modules/${name}/`;
    const { version } = JSON.parse(readFileSync(`${folder}package.json`, "utf8"));
    const file = readdirSync(folder).find((entry) => /^licen[sc]e/i.test(entry));
    return `${name} ${version}\n\n${readFileSync(folder + file, "utf8").trim()}\n`;
  }).join(`\n${"-".repeat(80)}\n\n`);
}

function slashes(path) {
  return path.replaceAll("\\", "/");
}

/** Returns the paths of the files that stand in dist. */
function standing() {
  try {
    const entries = readdirSync(`${here}dist`, { recursive: true, withFileTypes: true });
    return entries.filter((e) => e.isFile()).map((e) => slashes(relative(`${here}dist`, `${e.parentPath}/${e.name}`)));
  } catch (error) {
    if (error.code === "ENOENT") return [];
    throw error;
  }
}

/** Returns what is wrong with dist, a line each. */
function faults(built) {
  const found = [];
  const there = new Set(standing());
  for (const [path, content] of built) {
    if (!there.delete(path)) found.push(`dist/${path} is missing`);
    else if (!readFileSync(`${here}dist/${path}`).equals(content)) found.push(`dist/${path} differs`);
  }
  for (const path of there) found.push(`dist/${path} is not built from the sources`);
  return found;
}

function write(built) {
  rmSync(`${here}dist`, { recursive: true, force: true });
  for (const [path, content] of built) {
    mkdirSync(dirname(`${here}dist/${path}`), { recursive: true });
    writeFileSync(`${here}dist/${path}`, content);
  }
}

const built = await files();
const size = [...built.values()].reduce((sum, content) => sum + gzipSync(content, { level: 9 }).length, 0);
const wrong = [];
if (process.argv.includes("--check")) wrong.push(...faults(built));
else write(built);
if (size > MOST) wrong.push(`the files are ${size} bytes compressed, more than ${MOST}`);
console.log(`${built.size} files, ${(size / 1024).toFixed(1)} KiB compressed`);
for (const line of wrong) console.error(line);
if (wrong.length > 0) {
  console.error("Run `npm run build` in console/ and commit console/dist.");
  process.exit(1);
}

// Builds dist/esm and dist/cjs. Each has a package.json that says what its files are. The licenses are those of Waypost.
import { execFileSync } from "node:child_process";
import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const compiler = createRequire(import.meta.url).resolve("typescript/bin/tsc");

rmSync(`${here}dist`, { recursive: true, force: true });
for (const [folder, module, type] of [
  ["esm", "es2020", "module"],
  ["cjs", "commonjs", "commonjs"],
]) {
  const options = ["--module", module, "--outDir", `dist/${folder}`];
  execFileSync(process.execPath, [compiler, "-p", "tsconfig.json", ...options], { cwd: here, stdio: "inherit" });
  writeFileSync(`${here}dist/${folder}/package.json`, `${JSON.stringify({ type })}\n`);
}
for (const name of ["LICENSE-MIT", "LICENSE-APACHE"]) copyFileSync(`${here}../../${name}`, `${here}dist/${name}`);

#!/usr/bin/env node
// Runs the executable of this platform, which npm has installed as an optional dependency of this package.
"use strict";

const { spawn } = require("node:child_process");
const { constants } = require("node:os");

const PLATFORMS = { "linux x64": "@waypost/linux-x64", "linux arm64": "@waypost/linux-arm64" };

function executable() {
  const platform = `${process.platform} ${process.arch}`;
  const name = PLATFORMS[platform];
  if (!name) {
    throw new Error(
      `there is no executable for ${platform}, only for ${Object.keys(PLATFORMS).join(", ")}; ` +
        "with Rust, `cargo install --git https://github.com/waypost/waypost` builds one",
    );
  }
  try {
    return require.resolve(`${name}/bin/waypost`);
  } catch {
    throw new Error(`the package ${name} is missing: install waypost again, without --omit=optional`);
  }
}

let program;
try {
  program = executable();
} catch (error) {
  console.error(`error: ${error.message}`);
  process.exit(1);
}

const child = spawn(program, process.argv.slice(2), { stdio: "inherit" });
child.on("error", (error) => {
  console.error(`error: cannot run ${program}: ${error.message}`);
  process.exit(1);
});
child.on("exit", (code, signal) => process.exit(signal ? 128 + constants.signals[signal] : code));
// Ctrl-C reaches both processes. A second one would end `waypost dev` at once, so this one only waits for the child.
process.on("SIGINT", () => {});
for (const signal of ["SIGTERM", "SIGHUP"]) {
  process.on(signal, () => child.kill(signal));
}

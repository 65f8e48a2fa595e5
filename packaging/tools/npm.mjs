// Makes the npm packages of built executables: `waypost`, which chooses, and one for each platform.
//   node packaging/tools/npm.mjs VERSION OUT PLATFORM=EXECUTABLE...        PLATFORM is linux-x64 or linux-arm64
// THIRD-PARTY.txt lies beside each executable (licences.py).
import { execFileSync } from "node:child_process";
import { chmodSync, copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "..", "..");
const [version, out, ...built] = process.argv.slice(2);
if (!version || !out || built.length === 0) {
  console.error("usage: npm.mjs VERSION OUT PLATFORM=EXECUTABLE...");
  process.exit(2);
}

const common = {
  version,
  license: "MIT OR Apache-2.0",
  homepage: "https://github.com/waypost/waypost",
  repository: { type: "git", url: "git+https://github.com/waypost/waypost.git" },
};
// All platforms that a release may have: where one is missing, npm skips it, since it is optional.
const platforms = ["linux-x64", "linux-arm64"];
const work = mkdtempSync(join(tmpdir(), "waypost-npm-"));

function pack(folder, manifest) {
  writeFileSync(join(folder, "package.json"), `${JSON.stringify({ ...manifest, ...common }, null, 2)}\n`);
  for (const licence of ["LICENSE-MIT", "LICENSE-APACHE"]) copyFileSync(join(root, licence), join(folder, licence));
  mkdirSync(out, { recursive: true });
  execFileSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", resolve(out)], { cwd: folder, stdio: "inherit" });
}

try {
  for (const entry of built) {
    const at = entry.indexOf("=");
    const platform = entry.slice(0, at);
    if (!platforms.includes(platform)) throw new Error(`unknown platform ${platform}: ${platforms.join(", ")}`);
    const folder = join(work, platform);
    mkdirSync(join(folder, "bin"), { recursive: true });
    copyFileSync(entry.slice(at + 1), join(folder, "bin", "waypost"));
    chmodSync(join(folder, "bin", "waypost"), 0o755);
    copyFileSync(join(dirname(entry.slice(at + 1)), "THIRD-PARTY.txt"), join(folder, "THIRD-PARTY.txt"));
    const [os, cpu] = platform.split("-");
    pack(folder, {
      name: `@waypost/${platform}`,
      description: `The executable of Waypost for ${os} on ${cpu}; install the package waypost`,
      os: [os],
      cpu: [cpu],
      files: ["bin", "LICENSE-*", "THIRD-PARTY.txt"],
      preferUnplugged: true,
    });
  }
  const folder = join(work, "waypost");
  cpSync(join(here, "..", "npm"), folder, { recursive: true });
  chmodSync(join(folder, "bin", "waypost.js"), 0o755);
  pack(folder, {
    name: "waypost",
    description: "A clustered real-time event broker: publish once, delivered over WebSocket, SSE and webhooks",
    keywords: ["websocket", "sse", "webhooks", "pusher", "phoenix", "pubsub", "realtime"],
    bin: { waypost: "bin/waypost.js" },
    files: ["bin", "LICENSE-*"],
    engines: { node: ">=18" },
    optionalDependencies: Object.fromEntries(platforms.map((platform) => [`@waypost/${platform}`, version])),
  });
} finally {
  rmSync(work, { recursive: true, force: true });
}

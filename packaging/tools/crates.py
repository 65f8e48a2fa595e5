"""What cargo says of the crates in the executable, for the scripts beside this file."""

import json
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def metadata(target):
    """What `cargo metadata` says for a target. It fetches the sources of crates that are not there."""
    command = ["cargo", "metadata", "--locked", "--format-version=1", "--filter-platform", target]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)


def built(tree):
    """The id of the executable's crate, and the ids of the crates that are compiled in, with those that each of them uses.

    Crates that only run while it is built, or only in tests, are left out."""
    nodes = {node["id"]: node for node in tree["resolve"]["nodes"]}
    macros = {package["id"] for package in tree["packages"]
              if any("proc-macro" in target["kind"] for target in package["targets"])}
    start = next(p["id"] for p in tree["packages"] if p["name"] == "waypost" and p["source"] is None)
    found, waiting = {}, [start]
    while waiting:
        crate = waiting.pop()
        if crate in found:
            continue
        uses = [dep["pkg"] for dep in nodes[crate]["deps"]
                if any(kind["kind"] is None for kind in dep["dep_kinds"]) and dep["pkg"] not in macros]
        found[crate] = sorted(set(uses))
        waiting.extend(uses)
    return start, found

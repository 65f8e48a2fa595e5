"""Makes the software bill of materials (CycloneDX 1.5, JSON) of the executable from what cargo says of it:
python3 packaging/tools/sbom.py TARGET OUT        TARGET is a triple, such as x86_64-unknown-linux-musl

It lists the crates that are compiled into the executable, with their licences and the checksums of Cargo.lock. Crates
that only run while it is built, or only in tests, are left out.
"""

import json
import os
import pathlib
import sys
import time
import tomllib
import uuid

from crates import ROOT, built, metadata


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, checksums):
    entry = {"type": "library", "bom-ref": purl(package), "name": package["name"], "version": package["version"],
             "purl": purl(package)}
    if package.get("description"):
        entry["description"] = " ".join(package["description"].split())
    if package.get("license"):
        entry["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if checksum := checksums.get((package["name"], package["version"])):
        entry["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package.get("repository"):
        entry["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return entry


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    target, out = sys.argv[1:]
    tree = metadata(target)
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(p["name"], p["version"]): p["checksum"] for p in lock["package"] if "checksum" in p}
    packages = {package["id"]: package for package in tree["packages"]}
    start, found = built(tree)
    own = component(packages[start], checksums) | {"type": "application"}
    crates = sorted((packages[crate] for crate in found if crate != start), key=purl)
    at = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", time.time())))
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, purl(packages[start]) + target + str(at))}",
        "version": 1,
        "metadata": {"timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", at), "component": own,
                     "properties": [{"name": "cargo:target", "value": target}]},
        "components": [component(package, checksums) for package in crates],
        "dependencies": [{"ref": purl(packages[crate]), "dependsOn": sorted({purl(packages[use]) for use in uses})}
                         for crate, uses in sorted(found.items())],
    }
    pathlib.Path(out).write_text(json.dumps(bill, indent=1) + "\n")
    print(f"{pathlib.Path(out).name}: {len(crates)} crates")


main()

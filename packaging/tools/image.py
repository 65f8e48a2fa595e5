"""Makes the container image of a built executable without a container engine:
python3 packaging/tools/image.py VERSION ARCH EXECUTABLE CERTIFICATES OUT        ARCH is amd64 or arm64

OUT is a tar file that is both an OCI image layout and an archive as `docker save` makes it: `docker load`,
`podman load`, `skopeo` and `ctr image import` take it. The image's settings are those of the last stage of
packaging/docker/Dockerfile. THIRD-PARTY.txt lies beside the executable (licences.py).
"""

import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import sys
import tarfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
AT = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
USER = 65532


def instructions():
    """The instructions of the Dockerfile's last stage, each with its arguments as one line."""
    text = (ROOT / "packaging/docker/Dockerfile").read_text()
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    text = text.replace("\\\n", " ")
    last = re.split(r"^FROM .*$", text, flags=re.M)[-1]
    for line in filter(None, map(str.strip, last.splitlines())):
        name, _, rest = line.partition(" ")
        yield name, rest.strip()


def nanoseconds(duration):
    number, unit = re.fullmatch(r"(\d+)(ms|s|m)", duration).groups()
    return int(number) * {"ms": 10**6, "s": 10**9, "m": 60 * 10**9}[unit]


def health_check(text):
    options, command = text.split(" CMD ", 1)
    check = {"Test": ["CMD", *json.loads(command)]}
    names = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod"}
    for name, value in re.findall(r"--([a-z-]+)=(\S+)", options):
        if name == "retries":
            check["Retries"] = int(value)
        else:
            check[names[name]] = nanoseconds(value)
    return check


def config(version):
    found = {"Labels": {
        "org.opencontainers.image.title": "waypost",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
        "org.opencontainers.image.source": "https://github.com/waypost/waypost",
    }}
    for name, text in instructions():
        if name == "ENV":
            found["Env"] = text.split()
        elif name == "USER":
            found["User"] = text
        elif name == "VOLUME":
            found["Volumes"] = {path: {} for path in text.split()}
        elif name == "EXPOSE":
            found["ExposedPorts"] = {f"{port}/tcp": {} for port in text.split()}
        elif name == "STOPSIGNAL":
            found["StopSignal"] = text
        elif name == "HEALTHCHECK":
            found["Healthcheck"] = health_check(text)
        elif name in ("ENTRYPOINT", "CMD"):
            found["Entrypoint" if name == "ENTRYPOINT" else "Cmd"] = json.loads(text)
        elif name != "COPY":
            sys.exit(f"packaging/docker/Dockerfile has {name} in its last stage, which image.py does not know")
    return found


def layer(executable, certificates):
    """The one layer, uncompressed: what the Dockerfile copies."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        def add(name, mode, content=None, owner=0):
            entry = tarfile.TarInfo(name)
            entry.mode, entry.uid, entry.gid, entry.mtime = mode, owner, owner, AT
            entry.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            entry.size = len(content or b"")
            tar.addfile(entry, io.BytesIO(content or b""))

        add("data", 0o700, owner=USER)
        for folder in ("etc", "etc/ssl", "etc/ssl/certs"):
            add(folder, 0o755)
        add("etc/ssl/certs/ca-certificates.crt", 0o644, pathlib.Path(certificates).read_bytes())
        licences = [ROOT / "LICENSE-APACHE", ROOT / "LICENSE-MIT", pathlib.Path(executable).with_name("THIRD-PARTY.txt")]
        add("licenses", 0o755)
        for licence in licences:
            add(f"licenses/{licence.name}", 0o644, licence.read_bytes())
        add("waypost", 0o755, pathlib.Path(executable).read_bytes())
    return data.getvalue()


def main():
    if len(sys.argv) != 6:
        sys.exit(__doc__)
    version, arch, executable, certificates, out = sys.argv[1:]
    blobs = {}

    def blob(content, kind, **more):
        if not isinstance(content, bytes):
            content = json.dumps(content, separators=(",", ":")).encode()
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}",
                "size": len(content), **more}

    plain = layer(executable, certificates)
    platform = {"architecture": arch, "os": "linux"}
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(AT))
    packed = blob(gzip.compress(plain, 9, mtime=0), "layer.v1.tar+gzip")
    described = blob({
        **platform, "created": created, "config": config(version),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]},
        "history": [{"created": created, "created_by": "packaging/tools/image.py"}],
    }, "config.v1+json")
    manifest = blob({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                     "config": described, "layers": [packed]}, "manifest.v1+json", platform=platform)
    name = f"waypost:{version}"
    manifest["annotations"] = {"io.containerd.image.name": f"docker.io/library/{name}",
                               "org.opencontainers.image.ref.name": version}
    path = {item["digest"]: f"blobs/sha256/{item['digest'].removeprefix('sha256:')}" for item in (described, packed)}
    files = {
        "oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode(),
        "index.json": json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
                                  "manifests": [manifest]}).encode(),
        "manifest.json": json.dumps([{"Config": path[described["digest"]], "RepoTags": [name],
                                      "Layers": [path[packed["digest"]]]}]).encode(),
        **blobs,
    }
    pathlib.Path(out).parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as tar:
        for file, content in sorted(files.items()):
            entry = tarfile.TarInfo(file)
            entry.size, entry.mode, entry.mtime = len(content), 0o644, AT
            tar.addfile(entry, io.BytesIO(content))
    print(pathlib.Path(out).name)


main()

"""Makes a Python wheel of a built executable, which pip and pipx install as `waypost`:
python3 packaging/tools/wheel.py VERSION ARCH EXECUTABLE OUT        ARCH is x86_64 or aarch64

A static executable needs no library of the system, so one wheel is for glibc and musl alike. THIRD-PARTY.txt lies beside
the executable (licences.py).
"""

import base64
import hashlib
import os
import pathlib
import sys
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
README = ROOT / "packaging" / "tools" / "pypi.md"


def platforms(arch):
    return [f"manylinux_2_17_{arch}", f"manylinux2014_{arch}", f"musllinux_1_1_{arch}"]


def metadata(version):
    return f"""Metadata-Version: 2.3
Name: waypost
Version: {version}
Summary: A clustered real-time event broker: publish once, delivered over WebSocket, SSE and webhooks
License: MIT OR Apache-2.0
Project-URL: Source, https://github.com/waypost/waypost
Keywords: websocket,sse,webhooks,pusher,phoenix,pubsub,realtime
Classifier: Operating System :: POSIX :: Linux
Requires-Python: >=3.8
Description-Content-Type: text/markdown

{README.read_text()}"""


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    version, arch, executable, out = sys.argv[1:]
    # `0.2.0-rc.1` of Cargo is `0.2.0rc1` of Python.
    version = version.replace("-alpha.", "a").replace("-beta.", "b").replace("-rc.", "rc")
    info = f"waypost-{version}.dist-info"
    tags = platforms(arch)
    wheel = "Wheel-Version: 1.0\nGenerator: waypost\nRoot-Is-Purelib: false\n"
    wheel += "".join(f"Tag: py3-none-{tag}\n" for tag in tags)
    files = {
        f"waypost-{version}.data/scripts/waypost": (pathlib.Path(executable).read_bytes(), 0o755),
        f"{info}/METADATA": (metadata(version).encode(), 0o644),
        f"{info}/WHEEL": (wheel.encode(), 0o644),
    }
    licences = [ROOT / "LICENSE-MIT", ROOT / "LICENSE-APACHE", pathlib.Path(executable).with_name("THIRD-PARTY.txt")]
    for licence in licences:
        files[f"{info}/licenses/{licence.name}"] = (licence.read_bytes(), 0o644)
    record = ""
    for name, (content, _) in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(content)}\n"
    files[f"{info}/RECORD"] = (f"{record}{info}/RECORD,,\n".encode(), 0o644)

    at = time.gmtime(max(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), 315532800))[:6]
    path = pathlib.Path(out) / f"waypost-{version}-py3-none-{'.'.join(tags)}.whl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, (content, mode) in files.items():
            entry = zipfile.ZipInfo(name, at)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100000 | mode) << 16
            archive.writestr(entry, content)
    print(path.name)


main()

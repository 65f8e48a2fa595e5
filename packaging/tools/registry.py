"""A registry of npm for the packages in a folder: python3 packaging/tools/registry.py FOLDER PORT

packaging/try-release.sh uses it, so that `npx waypost dev` is tried as people type it, without the network.
"""

import base64
import hashlib
import http.server
import json
import pathlib
import sys
import tarfile
import urllib.parse

FOLDER, PORT = pathlib.Path(sys.argv[1]), int(sys.argv[2])


def packages():
    for file in FOLDER.glob("*.tgz"):
        with tarfile.open(file) as tar:
            manifest = json.load(tar.extractfile("package/package.json"))
        digest = base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()
        manifest["dist"] = {"tarball": f"http://127.0.0.1:{PORT}/files/{file.name}", "integrity": f"sha512-{digest}"}
        version = manifest["version"]
        yield manifest["name"], {"name": manifest["name"], "dist-tags": {"latest": version}, "versions": {version: manifest}}


class Handler(http.server.BaseHTTPRequestHandler):
    known = dict(packages())

    def do_GET(self):
        path = urllib.parse.unquote(self.path.partition("?")[0]).lstrip("/")
        file = FOLDER / path.removeprefix("files/")
        if path in self.known:
            self.answer(200, json.dumps(self.known[path]).encode())
        elif path.startswith("files/") and file.parent == FOLDER and file.is_file():
            self.answer(200, file.read_bytes())
        else:
            self.answer(404, b'{"error":"not found"}')

    # npm asks for advisories by POST.
    do_POST = do_GET

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()

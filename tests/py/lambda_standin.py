"""A stand-in for AWS Lambda's Invoke API, which checks signatures with botocore's own signer.

Prints its port on one line, then serves on 127.0.0.1 until its standard input ends. Each request is signed anew from
what arrived (method, path, query, signed headers, body) and answered with 403 if the signatures differ. Accepted ones
are printed as a line of JSON each: function, qualifier, type, body. With CLOCK in the environment (Unix seconds) that is
the time at the start: under libfaketime threads of Python wait for one another at every look at the clock.

The function's name chooses the answer: `throttled` 429, `broken` 200 with X-Amz-Function-Error, `missing` 404,
`returns-N` 200 with the statusCode N in what the function returns. One that begins with `sockudo` is the handler of
Sockudo's guide with the secret PUSHER_SECRET, and `orders` that of examples/lambda with WEBHOOK_SECRET: what they answer
is the answer, and the line tells whether they verified.

    python lambda_standin.py ACCESS_KEY SECRET_KEY REGION [SESSION_TOKEN]
    python lambda_standin.py --sign URL BODY ACCESS_KEY SECRET_KEY REGION AMZ_DATE [SESSION_TOKEN]
"""

import datetime
import importlib.util
import json
import os
import pathlib
import sys
import threading
import time
import types
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import botocore.auth
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

import sockudo_lambda


def example():
    """The handler of examples/lambda, with the clock of the nodes."""
    path = pathlib.Path(__file__).parents[2] / "examples/lambda/handler.py"
    spec = importlib.util.spec_from_file_location("handler", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.time = types.SimpleNamespace(time=lambda: time.time() + AHEAD.total_seconds())
    return module.handler


CLOCK = threading.Lock()
LINES = threading.Lock()
AHEAD = datetime.timedelta(seconds=float(os.environ.get("CLOCK") or time.time()) - time.time())
# What the handler prints belongs elsewhere.
output, sys.stdout = sys.stdout, sys.stderr
HANDLERS = {"sockudo": sockudo_lambda.lambda_handler, "orders": example()}
STATUS = {"Event": 202, "RequestResponse": 200, "DryRun": 204}


def say(line):
    with LINES:
        print(line, file=output, flush=True)


def signature(url, headers, body, credentials, region, amz_date):
    """The Authorization header that botocore makes for this request at that time."""
    at = datetime.datetime.strptime(amz_date, "%Y%m%dT%H%M%SZ")
    request = AWSRequest(method="POST", url=url, headers=headers, data=body)
    # botocore reads the clock when it signs: the time of the request is put in its place.
    with CLOCK:
        botocore.auth.get_current_datetime = lambda remove_tzinfo=True: at
        SigV4Auth(credentials, "lambda", region).add_auth(request)
    return request.headers["Authorization"]


class Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A peer that went is what tests are for; nobody wants its traceback."""


class Invoke(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        problem = self.problem(body)
        if problem:
            return self.answer(403, {"message": problem})
        parts = urllib.parse.urlsplit(self.path)
        segments = parts.path.split("/")
        if segments[:3] != ["", "2015-03-31", "functions"] or segments[4:] != ["invocations"]:
            return self.answer(404, {"message": "no such operation"})
        function = urllib.parse.unquote(segments[3])
        kind = self.headers.get("X-Amz-Invocation-Type", "RequestResponse")
        qualifier = urllib.parse.parse_qs(parts.query).get("Qualifier", [None])[0]
        seen = {"function": function, "qualifier": qualifier, "type": kind, "body": body.decode()}
        for name, handler in HANDLERS.items():
            if function.startswith(name):
                return self.answer(STATUS[kind], self.handled(seen, handler))
        say(json.dumps(seen))
        if function == "throttled":
            return self.answer(429, {"Reason": "ReservedFunctionConcurrentInvocationLimitExceeded"}, {"Retry-After": "1"})
        if function == "missing":
            return self.answer(404, {"message": "Function not found"})
        if function == "broken" and kind == "RequestResponse":
            return self.answer(200, {"errorMessage": "boom"}, {"X-Amz-Function-Error": "Unhandled"})
        if function.startswith("returns-") and kind == "RequestResponse":
            return self.answer(200, {"body": "as it says", "statusCode": int(function.removeprefix("returns-"))})
        return self.answer(STATUS.get(kind, 400), {"ok": True})

    def handled(self, seen, handler):
        event = json.loads(seen["body"])
        result = handler(event, None)
        headers, verified = event["headers"], result["statusCode"] == 200
        line = {"t": "request", "verified": verified, "id": headers["webhook-id"], "url": self.path}
        say(json.dumps({**seen, **line, "body": event["body"]}))
        return result

    def problem(self, body):
        given = self.headers.get("Authorization", "")
        amz_date = self.headers.get("X-Amz-Date", "")
        try:
            names = given.split("SignedHeaders=")[1].split(",")[0].split(";")
            at = datetime.datetime.strptime(amz_date, "%Y%m%dT%H%M%SZ")
        except (IndexError, ValueError):
            return "Missing Authentication Token"
        age = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + AHEAD - at
        if abs(age) > datetime.timedelta(minutes=5):
            return "Signature expired"
        for needed in ("host", "x-amz-date", "x-amz-invocation-type"):
            if needed not in names:
                return f"{needed} is not signed"
        added = ("x-amz-date", "x-amz-security-token", "host")
        headers = {name: self.headers[name] for name in names if name not in added and name in self.headers}
        if self.server.credentials.token != self.headers.get("X-Amz-Security-Token"):
            return "The security token included in the request is invalid"
        url = f"http://{self.headers['Host']}{self.path}"
        expected = signature(url, headers, body, self.server.credentials, self.server.region, amz_date)
        if expected.replace(" ", "") != given.replace(" ", ""):
            return "The request signature we calculated does not match the signature you provided"
        return None

    def answer(self, status, body, headers=None):
        data = b"" if status == 204 else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def main():
    if sys.argv[1] == "--sign":
        url, body, access, secret, region, amz_date, *token = sys.argv[2:]
        headers = {"content-type": "application/json", "x-amz-invocation-type": "Event"}
        credentials = Credentials(access, secret, token[0] if token else None)
        say(signature(url, headers, body.encode(), credentials, region, amz_date))
        return
    access, secret, region, *token = sys.argv[1:]
    server = Server(("127.0.0.1", 0), Invoke)
    server.credentials = Credentials(access, secret, token[0] if token else None)
    server.region = region
    say(server.server_address[1])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()

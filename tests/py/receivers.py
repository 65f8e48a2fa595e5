"""Receivers in Python, and public verifier libraries: Sockudo's verification and its handler for
AWS Lambda, PyPI standardwebhooks and svix. The path names which, the query the secret, as in
`/svix?secret=whsec_…`. Prints one JSON line when it listens and one per request; ends when standard
input closes."""

import json
import os
import sys
import threading
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import standardwebhooks
import svix

import sockudo_lambda
import sockudo_verify

lines, function = threading.Lock(), threading.Lock()
# What the handler prints belongs elsewhere.
output, sys.stdout = sys.stdout, sys.stderr


def say(**line):
    with lines:
        print(json.dumps(line), file=output, flush=True)


def standard(webhook):
    """A library's verifier; a secret that is no `whsec_…` is its own key."""

    def verify(body, headers, secret):
        encoded = secret if secret.startswith("whsec_") else b64encode(secret.encode()).decode()
        webhook(encoded).verify(body, headers)
        return True

    return verify


def as_function(body, headers, secret):
    """As a gateway before the function hands a request on."""
    event = {"body": body, "headers": {name.title(): value for name, value in headers.items()}}
    with function:
        os.environ["PUSHER_SECRET"] = secret
        return sockudo_lambda.lambda_handler(event, None)["statusCode"] == 200


VERIFIERS = {
    "/standardwebhooks": standard(standardwebhooks.Webhook),
    "/svix": standard(svix.Webhook),
    "/sockudo_verify": lambda body, headers, secret: sockudo_verify.verify_webhook(
        body, headers["x-pusher-signature"], secret
    ),
    "/sockudo_lambda": as_function,
}
ERRORS = (standardwebhooks.WebhookVerificationError, svix.WebhookVerificationError)


class Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A peer that went is what tests are for; nobody wants its traceback."""


class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            verified = VERIFIERS[url.path](body, headers, parse_qs(url.query)["secret"][0])
        except ERRORS:
            verified = False
        self.send_response(200 if verified else 401)
        self.send_header("content-length", "0")
        self.end_headers()
        say(t="request", verified=verified, id=headers.get("webhook-id"), url=self.path, body=body)

    def log_message(self, *_):
        pass


server = Server(("127.0.0.1", 0), Receiver)
threading.Thread(target=server.serve_forever, daemon=True).start()
say(t="listening", port=server.server_address[1])
sys.stdin.read()

"""A function of AWS Lambda that receives the events of a webhook.

Waypost invokes it with {"headers": {…}, "body": "…"}. The statusCode of the answer counts as that of a receiver:
2xx is delivered, anything else is tried again. The secret of the webhook is the setting WEBHOOK_SECRET (`whsec_…`).

Needs Python 3.9 or later, and no packages.
"""

import base64
import hashlib
import hmac
import json
import os
import time

TOLERANCE = 5 * 60  # seconds
SEEN = {}  # ids of events that this instance has handled; for all instances take a table with a condition
SEEN_MOST = 10_000


def handler(event, context):
    headers = {name.lower(): value for name, value in event["headers"].items()}
    if not is_genuine(headers, event["body"]):
        return {"statusCode": 401, "body": "the signature is not valid"}
    body = json.loads(event["body"])
    for one in body.get("events", [body]):  # a batch, or one event
        # Delivery is at least once, so an event may come again, also in another batch.
        if one["id"] in SEEN:
            continue
        handle(one)
        SEEN[one["id"]] = True
        if len(SEEN) > SEEN_MOST:
            del SEEN[next(iter(SEEN))]
    return {"statusCode": 200, "body": "ok"}


def is_genuine(headers, body):
    """Checks the signature of Standard Webhooks (https://www.standardwebhooks.com)."""
    try:
        sent, at = headers["webhook-id"], headers["webhook-timestamp"]
        given = headers["webhook-signature"].split()
        age = abs(time.time() - int(at))
    except (KeyError, ValueError):
        return False
    key = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
    digest = hmac.new(key, f"{sent}.{at}.{body}".encode(), hashlib.sha256).digest()
    expected = "v1," + base64.b64encode(digest).decode()
    # While a secret is rotated, there are several signatures.
    return age < TOLERANCE and any(hmac.compare_digest(one.encode(), expected.encode()) for one in given)


def handle(event):
    """Here begins your own code."""
    print(f"{event['type']} {event['id']}: {json.dumps(event['payload'])}")

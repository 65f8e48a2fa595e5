"""Posts an event as Slack does, signed by PyPI slack_sdk.

Options (JSON): url, secret, other (another secret). Prints the statuses of a good request, a repeated one and one that is
signed with the other secret, as a JSON list.
"""

import json
import sys
import time
import urllib.error
import urllib.request

from slack_sdk.signature import SignatureVerifier

options = json.loads(sys.argv[1])
body = json.dumps({"type": "event_callback", "event_id": "Ev1", "event": {"type": "app_mention"}})


def post(secret: str, timestamp: str) -> int:
    signature = SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=body)
    headers = {
        "Content-Type": "application/json",
        "X-Slack-Request-Timestamp": timestamp,
        "X-Slack-Signature": signature,
    }
    request = urllib.request.Request(options["url"], data=body.encode(), headers=headers, method="POST")
    while True:
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            # The server has no leader for the moment.
            if error.code != 503:
                return error.code
            time.sleep(0.2)


now = str(int(time.time()))
print(json.dumps([post(options["secret"], now), post(options["secret"], now), post(options["other"], now)]))

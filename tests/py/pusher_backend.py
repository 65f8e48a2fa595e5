"""A back end with PyPI `pusher`.

The first argument is JSON: url (http://...), app ({id, key, secret}), master (the key of encrypted channels,
base64). Orders come as JSON lines on standard input, and each is answered by a JSON line `answer` with n,
and with body, or with error (the library's name for it) and message:
trigger (channels, event, data, socket_id), batch (batch), channels (prefix, info), channel (channel, info),
users (channel), auth (channel, socket_id, data).
"""

import json
import sys
from urllib.parse import urlsplit

import pusher

OPTIONS = json.loads(sys.argv[1])
APP = OPTIONS["app"]
URL = urlsplit(OPTIONS["url"])
BACKEND = pusher.Pusher(
    app_id=APP["id"],
    key=APP["key"],
    secret=APP["secret"],
    host=URL.hostname,
    port=URL.port,
    ssl=False,
    timeout=60,
    encryption_master_key_base64=OPTIONS.get("master"),
)


def answer(order):
    match order["do"]:
        case "trigger":
            return BACKEND.trigger(order["channels"], order["event"], order["data"], order.get("socket_id"))
        case "batch":
            return BACKEND.trigger_batch(order["batch"])
        case "channels":
            return BACKEND.channels_info(order.get("prefix"), order.get("info", []))
        case "channel":
            return BACKEND.channel_info(order["channel"], order.get("info", []))
        case "users":
            return BACKEND.users_info(order["channel"])
        case "auth":
            return BACKEND.authenticate(order["channel"], order["socket_id"], order.get("data"))
    raise ValueError(f"unknown order {order}")


def say(**line):
    print(json.dumps(line), flush=True)


say(t="ready")
for text in sys.stdin:
    told = json.loads(text)
    try:
        say(t="answer", n=told["n"], body=answer(told))
    except Exception as error:  # Whatever the library raises is the answer.
        say(t="answer", n=told["n"], error=type(error).__name__, message=str(error))

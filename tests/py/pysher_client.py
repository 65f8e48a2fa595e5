"""A client with PyPI `pysher`.

The first argument is JSON: url (http://...), app ({key, secret}), user (the data of presence channels:
{user_id, user_info}), events (the names that it listens for). Orders come as JSON lines on standard input:
subscribe (channel), unsubscribe (channel), trigger (channel, event, data). It prints JSON lines: `connected`
with socket_id, and `event` with channel, event and data.
"""

import json
import logging
import sys
from urllib.parse import urlsplit

import pysher

OPTIONS = json.loads(sys.argv[1])
APP = OPTIONS["app"]
URL = urlsplit(OPTIONS["url"])
# Frames that tell how a subscription went, which the library hands to listeners like any other.
OWN = ["pusher_internal:subscription_succeeded", "pusher:subscription_error", "pusher:cache_miss"]
OWN += ["pusher_internal:member_added", "pusher_internal:member_removed"]


def say(**line):
    print(json.dumps(line), flush=True)


class Listening(pysher.channel.Channel):
    """A channel whose frames are printed."""

    def __init__(self, name, connection, auth=None):
        super().__init__(name, connection, auth)
        for event in OWN + OPTIONS.get("events", []):
            self.bind(event, self.tell, event)

    def tell(self, data, event):
        say(t="event", channel=self.name, event=event, data=data)


logging.basicConfig(stream=sys.stderr)
pysher.pusher.Channel = Listening
client = pysher.Pusher(
    APP["key"],
    secure=False,
    secret=APP["secret"],
    user_data=OPTIONS.get("user"),
    custom_host=URL.hostname,
    port=URL.port,
    reconnect_interval=1,
    auto_sub=True,
)
client.connection.bind(
    "pusher:connection_established", lambda _: say(t="connected", socket_id=client.connection.socket_id)
)
client.connection.bind("pusher:error", lambda data: say(t="error", data=data))
client.connect()

for text in sys.stdin:
    order = json.loads(text)
    name = order["channel"]
    match order["do"]:
        case "subscribe":
            # The answer may come before the library knows the channel.
            client.channels[name] = Listening(name, client.connection)
            client.subscribe(name)
        case "unsubscribe":
            client.unsubscribe(name)
        case "trigger":
            client.channel(name).trigger(order["event"], order["data"])
client.disconnect(timeout=1)

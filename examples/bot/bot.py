"""A bot for chat rooms. It answers `!roll 2d6` and `!help`, in whichever room they are said.

It handles every message once, also if it is killed at any moment:
- The position after the last message that it has handled is in a file. It resumes there.
- An answer is published under a key that follows from the message. If the bot dies before it has noted its
  position, it answers again, and the cluster stores the answer only once.

Needs Python 3.9 or later, and no packages.
"""

import http.client
import json
import os
import random
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

URL = os.environ.get("WAYPOST_URL", "http://127.0.0.1:4000")
MAP = os.environ.get("WAYPOST_MAP", "demo")
TOKEN = os.environ["WAYPOST_TOKEN"]
POSITION = Path(os.environ.get("BOT_POSITION", "bot.position"))
NAME = "bot"
SILENCE = 60  # seconds; a living stream says something every 20


def request(path, body=None, **headers):
    headers = {"Authorization": f"Bearer {TOKEN}", **headers}
    data = None
    if body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    made = urllib.request.Request(f"{URL}/api/maps/{MAP}{path}", data, headers)
    return urllib.request.urlopen(made, timeout=SILENCE)


def frames(position):
    """Yields the frames of the event stream after that position."""
    query = {"subjects": "room-*", "events": "said"}
    if position:
        query["last_event_id"] = position
    path = f"/events/stream?{urllib.parse.urlencode(query)}"
    with request(path, Accept="text/event-stream") as stream:
        frame = {}
        for line in stream:
            field, colon, value = line.decode().rstrip("\n").partition(":")
            if field:
                frame[field] = value.removeprefix(" ")
            elif not colon:  # an empty line ends a frame; a line that begins with a colon is a comment
                if "data" in frame:
                    yield frame
                frame = {}


def answer(event):
    """What the bot says to an event, or None."""
    payload = event["payload"] if isinstance(event["payload"], dict) else {}
    # What others send may be of any kind and length.
    text, name = str(payload.get("text", "")), str(payload.get("name", "Somebody"))[:100]
    if text == "!help":
        return "I roll dice: !roll 2d6"
    if dice := re.fullmatch(r"!roll ([1-9]\d?)d([1-9]\d{0,2})", text):
        count, sides = map(int, dice.groups())
        # The same message rolls the same dice, so that a repeated answer is the same answer.
        dice = random.Random(event["id"])
        rolls = [dice.randint(1, sides) for _ in range(count)]
        return f"{name} rolled {sum(rolls)} ({' + '.join(map(str, rolls))})"
    return None


def handle(event):
    text = answer(event)
    if text is None:
        return
    said = {"type": "said", "subject": event["subject"], "payload": {"name": NAME, "text": text}}
    with request("/events", said, **{"Idempotency-Key": f"bot-{event['id']}"}):
        print(f"{event['subject']}: {text}", flush=True)


def position():
    """The position that was noted last, if there is one."""
    if not POSITION.exists():
        return None
    return POSITION.read_text() or sys.exit(f"{POSITION} is empty: remove it to begin with new messages")


def note(position):
    """Writes the position so that the file is never half written."""
    new = POSITION.with_suffix(".new")
    new.write_text(position)
    new.replace(POSITION)


def follow():
    """Handles events until the stream breaks."""
    for frame in frames(position()):
        kind, data = frame.get("event"), json.loads(frame["data"])
        if kind == "refused":
            raise OSError(data["message"])
        if kind == "connected":
            print(f"connected to {URL}", flush=True)
            if data.get("gap"):
                print("some messages are no longer kept: they were missed", flush=True)
        if kind == "said":
            handle(data)
        if "id" in frame:
            note(frame["id"])


def main():
    while True:
        try:
            follow()
        except urllib.error.HTTPError as error:
            if error.code < 500 and error.code not in (408, 429):
                raise SystemExit(f"refused: {error.read().decode()}")
            print(f"not now: {error}", flush=True)
        except (OSError, http.client.HTTPException) as error:
            print(f"lost the connection: {error}", flush=True)
        time.sleep(1)


if __name__ == "__main__":
    main()

"""What schemathesis needs to reach the parts of the API that want things that are there.

`packaging/try-api.sh` makes a map with a webhook, an ingest source, a consumer and an app, and names them in
the environment. Requests that fit the document are sent to these, most of the time; others stay as they are.
"""

import os
import random
from datetime import datetime

import schemathesis
from hypothesis import strategies as st

THINGS = {
    name: os.environ[f"TRY_API_{name.upper()}"]
    for name in ("map", "webhook", "source", "consumer", "app", "key")
    if f"TRY_API_{name.upper()}" in os.environ
}

# Times that have not passed and such that have, in the forms that the document names.
schemathesis.openapi.format(
    "date-time",
    st.datetimes(min_value=datetime(2001, 1, 1), max_value=datetime(2090, 1, 1)).map(
        lambda time: time.strftime("%Y-%m-%dT%H:%M:%SZ")
    ),
)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Names things that are there in the path of a request that fits the document."""
    meta = getattr(case, "meta", None)
    fits = meta is not None and meta.generation.mode.is_positive
    if not fits or case.method.upper() == "DELETE" or random.random() < 0.2:
        return
    for name, value in THINGS.items():
        if case.path_parameters and name in case.path_parameters:
            case.path_parameters[name] = value

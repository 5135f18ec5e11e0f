"""Helps generated requests to reach stored clients, and counts the answers of each route. Schemathesis loads it."""

import atexit
from collections import Counter, defaultdict
from pathlib import Path
from zlib import crc32

import schemathesis
from schemathesis.core import NOT_SET

# Created by furnish.mjs: the first is the client of the examples, the second is there to be deleted.
CLIENT, TO_DELETE = "QZT481920", "QZT481921"

outcomes = defaultdict(Counter)


def is_helped(value):
    """True for three of four values: the others stay as they were generated."""
    return crc32(repr(value).encode()) % 4 != 0


@schemathesis.hook
def map_path_parameters(ctx, path_parameters):
    if not path_parameters or "id" not in path_parameters:
        return path_parameters
    is_deletion = ctx.operation.label == "DELETE /api/clients/{id}"
    if path_parameters["id"] == CLIENT or is_helped(path_parameters):
        path_parameters["id"] = TO_DELETE if is_deletion else CLIENT
    return path_parameters


@schemathesis.hook
def map_body(ctx, body):
    """A generated key names no client, and a generated id or state is refused."""
    client = body.get("client") if isinstance(body, dict) else None
    if isinstance(client, dict) and is_helped(body):
        body["client"] = {name: value for name, value in client.items() if name not in ("encodedKey", "id", "state")}
    return body


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Examples aren't mapped; and a client is created either from parameters or from a body."""
    label = case.operation.label
    if label == "DELETE /api/clients/{id}" and case.path_parameters.get("id") == CLIENT:
        case.path_parameters["id"] = TO_DELETE
    if label == "POST /api/clients" and case.query and case.body is not NOT_SET:
        if is_helped(case.query):
            case.query = {}
        elif is_helped(case.body):
            case.body, case.media_type = NOT_SET, None


@schemathesis.hook
def after_call(ctx, case, response):
    code = response.json().get("returnCode", "") if response.status_code >= 400 and response.content else ""
    outcomes[case.operation.label][f"{response.status_code} {code}".strip()] += 1


@atexit.register
def report():
    for label, counted in sorted(outcomes.items()):
        print(f"answered: {label}: {', '.join(f'{number} x {answer}' for answer, number in sorted(counted.items()))}")
    never = [label for label, counted in sorted(outcomes.items()) if not counted["200"]]
    Path("never-succeeded").write_text("\n".join(never))

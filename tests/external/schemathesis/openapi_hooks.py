"""Helps generated requests to reach stored clients, and counts the answers of each route. Schemathesis loads it."""

import atexit
import os
from collections import Counter, defaultdict
from pathlib import Path
from zlib import crc32

import requests
import schemathesis
from schemathesis.core import NOT_SET
from schemathesis.generation.meta import TestPhase

# The client of the examples, which furnish.mjs creates, and one that is created before each deletion.
CLIENT, TO_DELETE = "QZT481920", "QZT481921"
NAMES = {"firstName": "Trevor", "lastName": "Linden"}
# Values of the custom fields of furnish.mjs: risk_band, and card_number in a group.
VALUES = {
    "PATCH /api/clients/{id}/custominformation/{field}": "LOW",
    "PATCH /api/clients/{id}/custominformation/{field}/{group}": "4000-0001",
}

outcomes = defaultdict(Counter)
# The successes of generated requests: those of the examples don't count.
successes = Counter()


@schemathesis.serializer("message/rfc822", "multipart/report")
def serialize_report(ctx, value):
    return {"data": value if isinstance(value, bytes) else str(value).encode()}


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
        if "group" in path_parameters:
            path_parameters |= {"field": "card_number", "group": "0"}
        elif "field" in path_parameters:
            path_parameters["field"] = "risk_band"
    return path_parameters


def help_body(label, body):
    """A client needs names. A generated key names no client, and a generated id or state is refused."""
    if not isinstance(body, dict) or not is_helped(body):
        return body
    if label in VALUES:
        return {**body, "value": VALUES[label]}
    if label not in ("POST /api/clients", "POST /api/clients/{id}", "PATCH /api/clients/{id}"):
        return body
    client = body.get("client")
    client = client if isinstance(client, dict) else {}
    client = {name: value for name, value in client.items() if name not in ("encodedKey", "id", "state")}
    # A list that is null is a list that is absent.
    body = {name: value for name, value in body.items() if value is not None}
    return {**body, "client": {**client, **NAMES}}


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Examples aren't mapped, a client is created either from parameters or from a body, and deleted once."""
    label = case.operation.label
    if label == "DELETE /api/clients/{id}" and case.path_parameters.get("id") == CLIENT:
        case.path_parameters["id"] = TO_DELETE
    if case.meta.phase.name != TestPhase.EXAMPLES and not case.meta.generation.mode.is_negative:
        case.body = help_body(label, case.body)
    if label == "DELETE /api/clients/{id}" and case.path_parameters.get("id") == TO_DELETE:
        create(case, TO_DELETE)
    if label == "POST /api/clients" and case.query and case.body is not NOT_SET:
        if is_helped(case.query):
            case.query = {}
        elif is_helped(case.body):
            case.body, case.media_type = NOT_SET, None


def create(case, id):
    """Creates a client, unless it is there."""
    url = f"{case.operation.schema.get_base_url().rstrip('/')}/api/clients"
    name, _, value = os.environ.get("SCHEMATHESIS_HEADER", "").partition(": ")
    headers = {name: value} if name else {}
    response = requests.post(url, json={"client": {"id": id, **NAMES}}, headers=headers, timeout=10)
    is_there = response.status_code == 400 and response.json()["returnCode"] == 316
    assert is_there or response.status_code == 200, response.text


@schemathesis.hook
def after_call(ctx, case, response):
    if response.status_code == 200 and case.meta.phase.name != TestPhase.EXAMPLES:
        successes[case.operation.label] += 1
    code = response.json().get("returnCode", "") if response.status_code >= 400 and response.content else ""
    outcomes[case.operation.label][f"{response.status_code} {code}".strip()] += 1


@atexit.register
def report():
    for label, counted in sorted(outcomes.items()):
        print(f"answered: {label}: {', '.join(f'{number} x {answer}' for answer, number in sorted(counted.items()))}")
    never = [label for label in sorted(outcomes) if not successes[label]]
    Path("never-succeeded").write_text("\n".join(never))

"""Stores clients and lists them through the GraphQL API of clientele. Needs Python 3.9 or newer and no packages."""

import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from typing import Any, Optional
from urllib.error import HTTPError
from urllib.request import Request, urlopen

URL = os.environ.get("API_URL", "http://127.0.0.1:8080") + "/graphql"
TOKEN = os.environ["API_TOKEN"]

RETRIED = {"CONFLICT", "RATE_LIMITED", "TIMEOUT", "UNAVAILABLE"}
ATTEMPTS = 10
TIMEOUT_SECONDS = 60

UPSERT = """
mutation UpsertClient($input: UpsertClientInput!) {
  upsertClient(input: $input) {
    created
    client { clientId version fullName }
    userErrors { code message path }
  }
}
"""

CLIENTS = """
query Clients($search: String, $after: String) {
  clients(search: $search, first: 2, after: $after) {
    nodes { clientId fullName }
    pageInfo { hasNextPage endCursor }
  }
}
"""


class RequestError(Exception):
    """A request that was refused as a whole. Problems of an input are data, in `userErrors`."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code = error.get("extensions", {}).get("code")


def send(query: str, variables: dict[str, Any]) -> tuple[dict[str, Any], Optional[str]]:
    """Returns the answer and the header Retry-After."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    try:
        with urlopen(Request(URL, body, headers), timeout=TIMEOUT_SECONDS) as response:
            return json.load(response), None
    except HTTPError as error:
        return json.load(error), error.headers.get("Retry-After")


def request(query: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Returns the data. Repeats the request where the server says that this helps, after the time that it names."""
    for attempt in range(1, ATTEMPTS + 1):
        answer, retry_after = send(query, variables)
        if not answer.get("errors"):
            return answer["data"]
        error = RequestError(answer["errors"][0])
        if error.code not in RETRIED or attempt == ATTEMPTS:
            raise error
        seconds = int(retry_after) if retry_after else min(2**attempt / 10, 10)
        print(f"{error.code}: next attempt in {seconds} s", file=sys.stderr)
        time.sleep(seconds)
    raise AssertionError("unreachable")


def upsert(client: dict[str, Any], **lists: Any) -> None:
    """Stores a client. The idempotency key makes it safe to repeat the request, after a lost answer as well."""
    variables = {"input": {"client": client, "matchOn": "CLIENT_ID", "idempotencyKey": str(uuid.uuid4()), **lists}}
    payload = request(UPSERT, variables)["upsertClient"]
    for error in payload["userErrors"]:
        print(f"{error['code']} at {'.'.join(error['path'])}: {error['message']}")
    if payload["client"]:
        print("{clientId}: {fullName}, version {version}".format(**payload["client"]))


def clients(search: Optional[str] = None) -> Iterator[dict[str, Any]]:
    """All clients, or those that match a search, page by page."""
    after = None
    while True:
        page = request(CLIENTS, {"search": search, "after": after})["clients"]
        yield from page["nodes"]
        if not page["pageInfo"]["hasNextPage"]:
            return
        after = page["pageInfo"]["endCursor"]


if __name__ == "__main__":
    for number, name in enumerate(["Ines", "Trevor", "Ana"], start=1):
        client = {"clientId": f"EX-{number}", "firstName": name, "lastName": "Okafor"}
        upsert(client, addresses=[{"city": "Exampleton"}])
    upsert({"clientId": "EX-4", "firstName": "", "lastName": "Okafor", "emailAddress": "ana"})
    print(", ".join(found["fullName"] for found in clients()))
    print(", ".join(found["fullName"] for found in clients(search="trev")))

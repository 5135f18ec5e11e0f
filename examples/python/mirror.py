"""Keeps a copy of all clients in a SQLite file in step with clientele.

    python3 mirror.py COPY EXPORT   begins a copy with a file of `clientele export`
    python3 mirror.py COPY          applies the changes since then, or since the last run
"""

import json
import sqlite3
import sys
from collections.abc import Iterator
from typing import Any, Optional

from main import RequestError, request

CHANGES = """
query Changes($after: String!) {
  clientChanges(after: $after, first: 500) {
    nodes { clientKey version kind client { version clientId fullName } }
    position
    hasMore
  }
}
"""

TABLES = [
    "CREATE TABLE client (key TEXT PRIMARY KEY, version INTEGER NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL)",
    "CREATE TABLE feed (position TEXT NOT NULL)",
]


def begin(copy: sqlite3.Connection, lines: Iterator[str]) -> None:
    """Stores the clients of an export, and the position that it ends at."""
    position = json.loads(next(lines)).get("position")
    if position is None:
        sys.exit("The export has no position: the change feed isn't available on a distributed database.")
    copy.execute("BEGIN")
    for table in TABLES:
        copy.execute(table)
    for line in map(json.loads, lines):
        if "client" not in line or "encodedKey" not in line["client"]:
            continue
        client = line["client"]
        names = (client["firstName"], client.get("middleName"), client["lastName"])
        store(copy, client["encodedKey"], client["version"], client["clientId"], " ".join(filter(None, names)))
    copy.execute("INSERT INTO feed VALUES (?)", [position])


def store(copy: sqlite3.Connection, key: str, version: int, client_id: str, name: str) -> None:
    copy.execute("REPLACE INTO client VALUES (?, ?, ?, ?)", [key, version, client_id, name])


def apply(copy: sqlite3.Connection, change: dict[str, Any]) -> None:
    """Stores the client as it is now. Skips a change that the copy already has."""
    key, client = change["clientKey"], change["client"]
    if not client:
        copy.execute("DELETE FROM client WHERE key = ?", [key])
        return
    known = copy.execute("SELECT version FROM client WHERE key = ?", [key]).fetchone()
    if not known or known[0] < client["version"]:
        store(copy, key, client["version"], client["clientId"], client["fullName"])
        print("{kind}: {clientId}, {fullName}, version {version}".format(kind=change["kind"], **client))


def follow(copy: sqlite3.Connection) -> None:
    """Reads to the end of the feed. Each page is stored together with its position: a crash loses and repeats nothing."""
    more = True
    while more:
        (position,) = copy.execute("SELECT position FROM feed").fetchone()
        page = request(CHANGES, {"after": position})["clientChanges"]
        with copy:
            for change in page["nodes"]:
                apply(copy, change)
            copy.execute("UPDATE feed SET position = ?", [page["position"]])
        more = page["hasMore"]


def main(path: str, export: Optional[str] = None) -> None:
    copy = sqlite3.connect(path)
    if export:
        with open(export, encoding="utf-8") as lines, copy:
            begin(copy, lines)
    else:
        try:
            follow(copy)
        except RequestError as error:
            if error.code != "GONE":
                raise
            sys.exit(f"{error} Remove {path}, and begin again with an export.")
    print("clients in the copy:", copy.execute("SELECT count(*) FROM client").fetchone()[0])


if __name__ == "__main__":
    main(*sys.argv[1:])

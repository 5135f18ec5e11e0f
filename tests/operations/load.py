"""Reads and changes clients over connections that are kept alive, and counts what isn't answered as it must be."""

import http.client
import json
import ssl
import threading
import time
import urllib.parse

CALLERS = 6
CLIENTS = 20

READ = "query($id: String!) { client(by: { clientId: $id }) { clientId lastName addresses { city } } }"
CHANGE = """mutation($id: String!, $key: String!, $name: String!) {
  upsertClient(input: { idempotencyKey: $key, matchOn: CLIENT_ID, client: { clientId: $id, firstName: "Load",
    lastName: $name }, addresses: [{ city: "Oslo" }] }) { client { clientId lastName } userErrors { code message } }
}"""


class Load:
    """Runs from the beginning of a `with` block to its end, which fails on any error."""

    def __init__(self, address, token, ca=None):
        self.address, self.token, self.ca = urllib.parse.urlsplit(address), token, ca
        self.reads = self.changes = 0
        self.longest = 0.0
        self.errors, self.lock, self.stop = [], threading.Lock(), threading.Event()
        self.begun = f"{time.time():.3f}"

    def connect(self):
        host, port = self.address.hostname, self.address.port
        if self.address.scheme == "https":
            context = ssl.create_default_context(cafile=self.ca)
            return http.client.HTTPSConnection(host, port, timeout=40, context=context)
        return http.client.HTTPConnection(host, port, timeout=40)

    def request(self, connection, query, variables):
        headers = {"content-type": "application/json", "authorization": f"Bearer {self.token}"}
        body = json.dumps({"query": query, "variables": variables})
        begun = time.monotonic()
        connection.request("POST", "/graphql", body, headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        self.longest = max(self.longest, time.monotonic() - begun)
        data = json.loads(text).get("data") if answer.status == 200 else None
        if not data or '"errors"' in text:
            raise ValueError(f"{answer.status} {text[:300]}")
        return data

    def call(self, caller):
        connection, number = self.connect(), 0
        while not self.stop.is_set():
            number += 1
            # Each caller has clients of its own, so that what it reads is what it wrote.
            client, name = f"LOAD-{caller}-{number % CLIENTS}", f"Change {number}"
            try:
                key = f"{self.begun}-{caller}-{number}"
                change = {"id": client, "key": key, "name": name}
                changed = self.request(connection, CHANGE, change)["upsertClient"]
                read = self.request(connection, READ, {"id": client})["client"]
                if changed["userErrors"] or not read or read["lastName"] != name:
                    raise ValueError(f"{changed} {read}")
                with self.lock:
                    self.reads, self.changes = self.reads + 1, self.changes + 1
            except (OSError, http.client.HTTPException, ValueError) as error:
                with self.lock:
                    self.errors.append(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}")
                connection.close()
                connection = self.connect()
                self.stop.wait(0.1)
        connection.close()

    def __enter__(self):
        self.callers = [threading.Thread(target=self.call, args=(caller,), daemon=True) for caller in range(CALLERS)]
        for caller in self.callers:
            caller.start()
        return self

    def __exit__(self, kind, *_):
        self.stop.set()
        for caller in self.callers:
            caller.join(60)
        print(f"    load: {self.reads} reads, {self.changes} changes, {len(self.errors)} errors, "
              f"longest {self.longest:.2f} s")
        if kind is None and (self.errors or self.reads == 0):
            raise AssertionError("\n".join(["errors under load:", *self.errors[:10]]))

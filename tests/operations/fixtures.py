"""Shared by the sections: a server with clients, a user and a token, and load."""

import json
import re

from load import Load

USER = "clientele user add admin --permissions ALL <<<'a password of this test' >/dev/null"
SEEDED = 200
CLIENT = """mutation { upsertClient(input: { client: { clientId: "C-1", firstName: "Ines", lastName: "Okafor" },
  addresses: [{ city: "Oslo" }] }) { userErrors { message } } }"""
WELCOME = """mutation { upsertMessageTemplate(input: { templateId: "welcome", name: "Welcome", event: CLIENT_CREATED,
  channel: EMAIL, conditions: { states: [PENDING_APPROVAL, INACTIVE, ACTIVE] }, variants: [{ language: ENGLISH,
  subject: "Welcome", text: "Welcome." }] }) { userErrors { message } } }"""
RECIPIENT = """mutation { upsertClient(input: { client: { clientId: "BO-1", firstName: "Bo", lastName: "Lin",
  emailAddress: "bo@example.test" } }) { userErrors { message } } }"""
SIGN_IN = 'mutation { signIn(input: { name: "admin", password: "a password of this test" }) { accessToken } }'
SQLITE = "sqlite3 /var/lib/clientele/clientele.db '.timeout 5000'"
WITH_CONFIG = "export CLIENTELE_CONFIG=/etc/clientele/config.toml; clientele() { /usr/bin/clientele \"$@\"; };"
CONFIG = """listen = "127.0.0.1:8080"
database_url = "sqlite:/var/lib/clientele/clientele.db"
"""
DROP_IN = "/etc/systemd/system/clientele.service.d/override.conf"
NO_AUDIT_KEY = "audit.key isn't configured"


class Section:
    # The section without which this one can't run alone.
    needs = None

    def before(self, machine):
        """Prepares the machine."""

    def at(self, machine, number):
        """Runs before the block with this number."""

    def after(self, machine):
        """Checks what must hold at the end."""


def graphql(machine, query, credentials="-u 'admin:a password of this test'"):
    """Runs an operation as the user admin."""
    body = machine.write("/root/body", json.dumps({"query": query}))
    answer = machine.run(f"curl -sS {credentials} http://127.0.0.1:8080/graphql -H 'content-type: application/json' "
                         f"--data @{body}")
    assert '"message"' not in answer, answer
    return answer


def connect(machine, url_file=None):
    """Gives the service the address of its database as the page does; without one, it is in the configuration."""
    if url_file is None:
        machine.remove(DROP_IN)
        return
    machine.write(DROP_IN, f"""[Service]
LoadCredential=database_url:{url_file}
Environment=DATABASE_URL_FILE=%d/database_url
""")


def furnish(machine, url_file=None):
    """Clients, a user and a token in the database, which the migration has created. Starts the server."""
    connect(machine, url_file)
    url = f"export DATABASE_URL_FILE={url_file};" if url_file else ""
    machine.run(f"{WITH_CONFIG}{url} {USER}; clientele seed --clients {SEEDED}")
    token = f"{WITH_CONFIG}{url} clientele token create operations --permissions VIEW_CLIENT,CREATE_CLIENT,EDIT_CLIENT"
    machine.run(f"{token} 2>/dev/null >/root/token; systemctl start clientele")
    machine.tokens[url_file] = machine.read("/root/token")
    graphql(machine, CLIENT)


def load(machine, address="http://127.0.0.1:8080", ca=None):
    ca = machine.root / ca if ca else None
    return Load(machine.place(address), machine.read("/root/token").strip(), ca)


def no_warnings(machine, log="/var/log/clientele.log", known=()):
    """The server has warned of nothing but what is known."""
    lines = [line for line in machine.read(log).splitlines() if re.search(r"\b(WARN|ERROR)\b", line)]
    unknown = [line for line in lines if not any(re.search(pattern, line) for pattern in known)]
    assert not unknown, "\n".join(unknown[:5])

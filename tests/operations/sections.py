"""What surrounds the blocks of each section: what runs before, load meanwhile, and what must hold afterwards."""

import json
import re
import subprocess

from load import Load

USER = "clientele user add admin --permissions ALL <<<'a password of this test' >/dev/null"
SEEDED = 200
CLIENT = """mutation { upsertClient(input: { client: { clientId: "C-1", firstName: "Ines", lastName: "Okafor" },
  addresses: [{ city: "Oslo" }] }) { userErrors { message } } }"""
WITH_CONFIG = "export CLIENTELE_CONFIG=/etc/clientele/config.toml; clientele() { /usr/bin/clientele \"$@\"; };"
CONFIG = """listen = "127.0.0.1:8080"
database_url = "sqlite:/var/lib/clientele/clientele.db"
"""


class Section:
    # The section without which this one can't run alone.
    needs = None

    def before(self, machine):
        """Prepares the machine. What it returns is given to `after`."""

    def at(self, machine, number):
        """Runs before the block with this number."""

    def adapt(self, machine, text):
        """A file of the page as this machine can have it."""
        return text

    def after(self, machine, state):
        """Checks what must hold at the end."""


def furnish(machine, url_file=None):
    """Clients, a user and a token in the database, which the migration has created. Starts the server."""
    url = f"export DATABASE_URL_FILE={url_file};" if url_file else ""
    machine.run(f"{WITH_CONFIG}{url} {USER}; clientele seed --clients {SEEDED}")
    token = f"{WITH_CONFIG}{url} clientele token create operations --permissions VIEW_CLIENT,CREATE_CLIENT,EDIT_CLIENT"
    machine.run(f"{token} 2>/dev/null >/root/token; {url} systemctl start clientele")
    machine.tokens[url_file] = machine.read("/root/token")
    graphql(machine, CLIENT)


WELCOME = """mutation { upsertMessageTemplate(input: { templateId: "welcome", name: "Welcome", event: CLIENT_CREATED,
  channel: EMAIL, conditions: { states: [PENDING_APPROVAL, INACTIVE, ACTIVE] }, variants: [{ language: ENGLISH,
  subject: "Welcome", text: "Welcome." }] }) { userErrors { message } } }"""
RECIPIENT = """mutation { upsertClient(input: { client: { clientId: "BO-1", firstName: "Bo", lastName: "Lin",
  emailAddress: "bo@example.test" } }) { userErrors { message } } }"""
SIGN_IN = 'mutation { signIn(input: { name: "admin", password: "a password of this test" }) { accessToken } }'
SQLITE = "sqlite3 /var/lib/clientele/clientele.db '.timeout 5000'"


def graphql(machine, query, credentials="-u 'admin:a password of this test'"):
    """Runs an operation as the user admin."""
    body = machine.write("/root/body", json.dumps({"query": query}))
    answer = machine.run(f"curl -sS {credentials} http://127.0.0.1:8080/graphql -H 'content-type: application/json' "
                         f"--data @{body}")
    assert '"message"' not in answer, answer
    return answer


def use_postgres(machine):
    """The token of the clients on PostgreSQL."""
    machine.write("/root/token", machine.tokens["/etc/clientele/server_url"])


def load(machine, address="http://127.0.0.1:8080", ca=None):
    ca = machine.root / ca if ca else None
    return Load(machine.place(address), machine.read("/root/token").strip(), ca)


def no_warnings(machine, log="/var/log/clientele.log", known=()):
    """The server has warned of nothing but what is known."""
    lines = [line for line in machine.read(log).splitlines() if re.search(r"\b(WARN|ERROR)\b", line)]
    unknown = [line for line in lines if not any(re.search(pattern, line) for pattern in known)]
    assert not unknown, "\n".join(unknown[:5])


NO_AUDIT_KEY = "audit.key isn't configured"


class OnSqlite(Section):
    """Begins with a server on a SQLite file."""

    def before(self, machine):
        machine.run("systemctl stop clientele; rm -rf /var/lib/clientele/* /var/log/clientele.log")
        machine.write("/etc/clientele/config.toml", CONFIG)
        furnish(machine)


class Tls(OnSqlite):
    def before(self, machine):
        super().before(machine)
        self.load = None

    def at(self, machine, number):
        # The renewal.
        if number == 4:
            self.load = load(machine, "https://clientele.bank.test:8443", "root/ca/ca.pem")
            self.load.__enter__()

    def after(self, machine, state):
        self.load.__exit__(None, None, None)
        no_warnings(machine, known=[NO_AUDIT_KEY, "the certificate was not replaced"])
        machine.run("systemctl stop clientele")


class Encryption(Section):
    """Begins with a new PostgreSQL, as Debian's package makes it."""

    needs = "TLS"

    def before(self, machine):
        data = "/var/lib/postgresql/15/main"
        machine.run(f"runuser -u postgres -- initdb -D {data} -U postgres -A peer -E UTF8 --locale=C --no-sync")
        settings = f"""listen_addresses = ''
unix_socket_directories = '{machine.root}/run/postgresql'
hba_file = '{machine.root}/etc/postgresql/15/main/pg_hba.conf'
fsync = off
"""
        with open(machine.root / f"{data[1:]}/postgresql.conf", "a") as file:
            file.write(settings)
        machine.write("/etc/postgresql/15/main/pg_hba.conf", "local all postgres peer\n")
        machine.run("systemctl start postgresql")


class Roles(Section):
    needs = "Encryption"

    def before(self, machine):
        machine.run("systemctl stop clientele; rm -f /var/log/clientele.log")
        machine.write("/etc/clientele/config.toml", 'listen = "127.0.0.1:8080"\n')

    def at(self, machine, number):
        # The rights are those of the page, so that a server of them must be able to do all of this.
        if number == 4:
            self.refused(machine)
            furnish(machine, "/etc/clientele/server_url")
            with load(machine):
                machine.run("sleep 1")
            machine.run("systemctl stop clientele")

    def refused(self, machine):
        """A server can't migrate, and says so."""
        sql = "DELETE FROM seaql_migrations WHERE version = (SELECT max(version) FROM seaql_migrations)"
        owner = 'psql -q "$(cat /etc/clientele/owner_url)" -c'
        kept = "CREATE TABLE kept AS SELECT * FROM seaql_migrations"
        machine.run(f'{owner} "{kept}" -c "{sql}"')
        try:
            machine.run("DATABASE_URL_FILE=/etc/clientele/server_url /usr/bin/clientele serve --listen 127.0.0.1:0")
        except AssertionError as error:
            expected = "permission denied for schema public: grant the right to the role, or run `clientele migrate`"
            assert expected in str(error), error
        else:
            raise AssertionError("the server has migrated")
        back = "INSERT INTO seaql_migrations SELECT * FROM kept ON CONFLICT DO NOTHING"
        machine.run(f"{owner} '{back}' -c 'DROP TABLE kept'")

    def after(self, machine, state):
        with load(machine):
            machine.run("sleep 2")
        known = [NO_AUDIT_KEY]
        no_warnings(machine, known=known)
        machine.run("systemctl stop clientele")


class PgBouncer(Section):
    needs = "Roles"

    def before(self, machine):
        version = subprocess.run(["/usr/sbin/pgbouncer", "--version"], capture_output=True, text=True).stdout
        pooler = machine.run("pgbouncer --version") or version
        self.shares = [int(part) for part in re.findall(r"\d+", pooler)[:2]] >= [1, 21]
        if not self.shares:
            print(f"    LEFT OUT: transaction mode: {pooler.splitlines()[0]} has no max_prepared_statements")

    def adapt(self, machine, text):
        if self.shares:
            return text
        text = text.replace("pool_mode = transaction", "pool_mode = session")
        return text.replace("max_prepared_statements = 200\n", "").replace("pool_size = 8", "pool_size = 20")

    def after(self, machine, state):
        with load(machine):
            machine.run("sleep 3")
        no_warnings(machine, known=[NO_AUDIT_KEY])
        machine.run("systemctl stop clientele pgbouncer")
        verified = machine.run('psql "$(cat /etc/clientele/owner_url)" -At -c "SELECT count(*) FROM client"')
        assert int(verified) > SEEDED, verified


def records(machine):
    return machine.run("sqlite3 /var/lib/clientele/clientele.db 'SELECT count(*) FROM audit_record'")


class Backup(OnSqlite):
    """The backup is made under load, and restored without. Shows what the page says about the time after a restore."""

    def before(self, machine):
        super().before(machine)
        machine.run("systemctl stop clientele")
        machine.write("/etc/clientele/config.toml", CONFIG + "\n[notifications]\nworker = false\n")
        machine.run("systemctl start clientele")
        graphql(machine, WELCOME)
        graphql(machine, RECIPIENT)
        assert self.sent(machine) == "0\n"
        created = machine.run(f"{WITH_CONFIG} clientele token create revoked --permissions VIEW_CLIENT 2>&1")
        self.token, *_, self.key = created.split()

    def at(self, machine, number):
        if number == 0:
            self.load = load(machine)
            self.load.__enter__()
        if number == 2:
            self.load.__exit__(None, None, None)
            machine.run("systemctl stop clientele")
            machine.write("/etc/clientele/config.toml", CONFIG)
            machine.run("systemctl start clientele")
            machine.run(f"{WITH_CONFIG} clientele token revoke {self.key}; clientele client erase BO-1 --yes")
            assert self.status(machine) == "401"
            assert self.new_client(machine) == self.new_client(machine), "the repetition has another answer"

    def after(self, machine, state):
        no_warnings(machine, known=[NO_AUDIT_KEY])
        restored = machine.run("sqlite3 /var/lib/clientele/clientele.db 'PRAGMA integrity_check'")
        assert restored == "ok\n", restored
        # The token is valid again, the erased client is back, and its message is sent now.
        assert self.status(machine) == "200"
        machine.run(f'until [ "$({SQLITE} "SELECT count(*) FROM message WHERE sent_at IS NOT NULL")" = 1 ]; do '
                    "sleep 0.1; done")
        # The idempotency key is unknown, and so is the client that was stored under it.
        assert '"created":true' in self.new_client(machine)

    @staticmethod
    def sent(machine):
        return machine.run(f"{SQLITE} 'SELECT count(*) FROM message WHERE sent_at IS NOT NULL'")

    def status(self, machine):
        return machine.run("curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8080/api/clients/BO-1 "
                           f"-H 'apiKey: {self.token}'")

    @staticmethod
    def new_client(machine):
        return graphql(machine, """mutation { upsertClient(input: { idempotencyKey: "after the backup",
          client: { clientId: "AFTER-1", firstName: "Ana", lastName: "Cruz" } }) { created client { encodedKey } } }""")


class OnlineBackup(Section):
    needs = "SQLite: clientele backup"

    def before(self, machine):
        machine.run("systemctl start clientele")

    def at(self, machine, number):
        self.load = load(machine)
        self.load.__enter__()

    def after(self, machine, state):
        self.load.__exit__(None, None, None)


class Litestream(Section):
    """What is acknowledged before both services stop is in the replica."""

    needs = "SQLite: clientele backup"

    def at(self, machine, number):
        if number == 2:
            self.load = load(machine)
            self.load.__enter__()
        if number == 4:
            self.load.__exit__(None, None, None)
            self.records = records(machine)

    def after(self, machine, state):
        with load(machine):
            machine.run("sleep 1")
        found = records(machine)
        assert int(found) > int(self.records), (found, self.records)
        no_warnings(machine, known=[NO_AUDIT_KEY])
        machine.run("systemctl stop clientele litestream")


class OnPostgres(Section):
    """Begins with a server that has the rights of the page."""

    needs = "Roles"

    def before(self, machine):
        machine.run("systemctl stop clientele; rm -f /var/log/clientele.log")
        machine.write("/etc/clientele/config.toml", 'listen = "127.0.0.1:8080"\n')
        use_postgres(machine)
        machine.run("DATABASE_URL_FILE=/etc/clientele/server_url systemctl start clientele")

    def after(self, machine, state):
        with load(machine):
            machine.run("sleep 1")
        machine.run("systemctl stop clientele")


class Dump(OnPostgres):
    def at(self, machine, number):
        if number == 0:
            self.load = load(machine)
            self.load.__enter__()
            machine.run("sleep 1")
        if number == 1:
            self.load.__exit__(None, None, None)


class AnyTime(OnPostgres):
    def at(self, machine, number):
        if number != 3:
            return
        with load(machine):
            machine.run("sleep 1")
        now = "psql \"$(cat /etc/clientele/owner_url)\" -At -c 'SELECT clock_timestamp()'"
        machine.values["2026-11-30 10:00:00+00"] = machine.run(now).strip()
        with load(machine):
            machine.run("sleep 1")
        wrong = CLIENT.replace("Okafor", "Wrong").replace("input: {", "input: { matchOn: CLIENT_ID,")
        graphql(machine, wrong)
        read = machine.run("psql \"$(cat /etc/clientele/owner_url)\" -At -c \"SELECT last_name FROM client "
                           "WHERE client_id = 'C-1'\"")
        assert read == "Wrong\n", read


class Upgrade(Section):
    needs = "Roles"

    def before(self, machine):
        machine.run("systemctl stop clientele")
        use_postgres(machine)
        machine.use(machine.older, "a", "b")
        machine.environment["DATABASE_URL_FILE"] = str(machine.root / "etc/clientele/server_url")

    def at(self, machine, number):
        if number == 2:
            machine.run("ssh a.bank.test systemctl start clientele; ssh b.bank.test systemctl start clientele")
        if number == 4:
            self.load = load(machine, "http://lb.bank.test:8080")
            self.load.__enter__()
            # What steps of a later version do to servers that run.
            owner = 'psql -q "$(cat /etc/clientele/owner_url)"'
            machine.run(f"{owner} -c 'ALTER TABLE client ADD COLUMN of_later text' -c \"ALTER TABLE address ADD COLUMN "
                        "of_later text NOT NULL DEFAULT ''\" -c 'CREATE TABLE of_later (client_key text)'")
        if number == 6:
            self.load.__exit__(None, None, None)

    def after(self, machine, state):
        for host in "ab":
            no_warnings(machine, f"/var/log/clientele-{host}.log", [NO_AUDIT_KEY])
            link = (machine.root / f"usr/bin/clientele-{host}").readlink()
            assert str(link) == machine.program, link
        owner = 'psql -q "$(cat /etc/clientele/owner_url)"'
        machine.run(f"{owner} -c 'ALTER TABLE client DROP COLUMN of_later' -c 'ALTER TABLE address DROP COLUMN of_later' "
                    "-c 'DROP TABLE of_later'")
        machine.run("systemctl stop haproxy; ssh a.bank.test systemctl stop clientele")
        machine.run("ssh b.bank.test systemctl stop clientele")
        del machine.environment["DATABASE_URL_FILE"]


class AuditKey(OnSqlite):
    def before(self, machine):
        machine.run("systemctl stop clientele; rm -rf /var/lib/clientele/* /var/log/clientele.log")
        for name in ["THE-OLD-KEY", "THE-NEW-KEY"]:
            machine.values[name] = machine.run("openssl rand -base64 32").strip()
        machine.write("/etc/clientele/config.toml", CONFIG + '\n[audit]\nkey = "THE-OLD-KEY"\n')
        furnish(machine)

    def after(self, machine, state):
        with load(machine):
            machine.run("sleep 1")
        for key, intact in [("THE-NEW-KEY", False), ("THE-OLD-KEY", True)]:
            command = f"clientele audit verify --set audit.key=THE-NEW-KEY --set 'audit.previous_keys=[\"{key}\"]'"
            try:
                machine.run(f"{WITH_CONFIG} {command}")
            except AssertionError:
                assert not intact
            else:
                assert intact, "records of the old key are verified without it"
        no_warnings(machine)


class Tokens(OnSqlite):
    def before(self, machine):
        super().before(machine)
        machine.run(f"{WITH_CONFIG} clientele token create 'nightly report' --permissions VIEW_CLIENT 2>/dev/null "
                    ">/root/token")
        self.old = machine.read("/root/token").strip()

    def after(self, machine, state):
        refused = machine.run(f"curl -s -H 'Authorization: Bearer {self.old}' http://127.0.0.1:8080/api/clients/C-1 "
                              "-o /dev/null -w '%{http_code}'")
        assert refused == "401", refused


class Password(OnPostgres):
    pass


class Logs(OnSqlite):
    pass


class Retention(OnSqlite):
    """Begins with data whose time has ended, which the server removes at its start."""

    def before(self, machine):
        super().before(machine)
        with load(machine):
            machine.run("sleep 0.5")
        graphql(machine, WELCOME)
        graphql(machine, RECIPIENT)
        graphql(machine, SIGN_IN, credentials="")
        machine.run(f"until [ $({SQLITE} 'SELECT count(*) FROM message WHERE sent_at IS NOT NULL') = 1 ]; do "
                    "sleep 0.1; done")
        machine.run("systemctl stop clientele")
        past = "'2020-01-01T00:00:00.000000Z'"
        machine.run(f'{SQLITE} "UPDATE idempotency_record SET expires_at = {past}" "UPDATE session SET '
                    f'refresh_expires_at = {past}" "UPDATE message SET sent_at = {past}, created_at = {past}"')
        machine.run("systemctl start clientele")
        left = ("SELECT (SELECT count(*) FROM idempotency_record) + (SELECT count(*) FROM session) + "
                "(SELECT count(*) FROM message WHERE placeholders IS NOT NULL)")
        machine.run(f'until [ "$({SQLITE} \'{left}\')" = 0 ]; do sleep 0.1; done')
        kept = machine.run(f"{SQLITE} 'SELECT count(*) FROM message'")
        assert kept == "1\n", kept

    def after(self, machine, state):
        left = machine.run("sqlite3 /var/lib/clientele/clientele.db 'SELECT count(*) FROM message'")
        assert left == "0\n", left
        machine.run("systemctl stop clientele")


SECTIONS = {
    "TLS": Tls(),
    "Encryption": Encryption(),
    "Roles": Roles(),
    "PgBouncer": PgBouncer(),
    "SQLite: clientele backup": Backup(),
    "SQLite: sqlite3": OnlineBackup(),
    "SQLite: Litestream": Litestream(),
    "PostgreSQL: pg_dump": Dump(),
    "PostgreSQL: any time": AnyTime(),
    "Two servers without a pause": Upgrade(),
    "The audit key": AuditKey(),
    "Tokens and passwords": Tokens(),
    "The password of the database": Password(),
    "Logs": Logs(),
    "Retention": Retention(),
}

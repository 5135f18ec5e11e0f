"""Sections whose server has a SQLite file."""

from fixtures import CONFIG, NO_AUDIT_KEY, RECIPIENT, SIGN_IN, SQLITE, WELCOME, WITH_CONFIG
from fixtures import Section, furnish, graphql, load, no_warnings


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

    def after(self, machine):
        self.load.__exit__(None, None, None)
        no_warnings(machine, known=[NO_AUDIT_KEY, "the certificate was not replaced"])
        machine.run("systemctl stop clientele")


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

    def after(self, machine):
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

    def after(self, machine):
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

    def after(self, machine):
        with load(machine):
            machine.run("sleep 1")
        found = records(machine)
        assert int(found) > int(self.records), (found, self.records)
        no_warnings(machine, known=[NO_AUDIT_KEY])
        machine.run("systemctl stop clientele litestream")


class AuditKey(OnSqlite):
    def before(self, machine):
        machine.run("systemctl stop clientele; rm -rf /var/lib/clientele/* /var/log/clientele.log")
        for name in ["THE-OLD-KEY", "THE-NEW-KEY"]:
            machine.values[name] = machine.run("openssl rand -base64 32").strip()
        machine.write("/etc/clientele/config.toml", CONFIG + '\n[audit]\nkey = "THE-OLD-KEY"\n')
        furnish(machine)

    def after(self, machine):
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

    def after(self, machine):
        refused = machine.run(f"curl -s -H 'Authorization: Bearer {self.old}' http://127.0.0.1:8080/api/clients/C-1 "
                              "-o /dev/null -w '%{http_code}'")
        assert refused == "401", refused


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

    def after(self, machine):
        left = machine.run("sqlite3 /var/lib/clientele/clientele.db 'SELECT count(*) FROM message'")
        assert left == "0\n", left
        machine.run("systemctl stop clientele")

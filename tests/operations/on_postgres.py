"""Sections of PostgreSQL."""

from fixtures import CLIENT, NO_AUDIT_KEY, SEEDED, Section, connect, furnish, graphql, load, no_warnings

AS_POSTGRES = "runuser -u postgres -- psql -q bank"


def use_postgres(machine):
    """The token of the clients on PostgreSQL."""
    machine.write("/root/token", machine.tokens["/etc/clientele/server_url"])


class OnPostgres(Section):
    """Begins with a server that has the rights of the page."""

    needs = "Roles"
    url_file = "/etc/clientele/server_url"

    def before(self, machine):
        machine.run("systemctl stop clientele; rm -f /var/log/clientele.log")
        machine.write("/etc/clientele/config.toml", 'listen = "127.0.0.1:8080"\n')
        use_postgres(machine)
        connect(machine, self.url_file)
        machine.run("systemctl start clientele")

    def after(self, machine):
        with load(machine):
            machine.run("sleep 1")
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
        if number == 5:
            self.refused(machine)
            furnish(machine, "/etc/clientele/server_url")
            with load(machine):
                machine.run("sleep 1")
            machine.run("systemctl stop clientele")

    def refused(self, machine):
        """A server can't migrate, and says so."""
        sql = "DELETE FROM seaql_migrations WHERE version = (SELECT max(version) FROM seaql_migrations)"
        kept = "CREATE TABLE kept AS SELECT * FROM seaql_migrations"
        machine.run(f'{AS_POSTGRES} -c "{kept}" -c "{sql}"')
        try:
            machine.run("DATABASE_URL_FILE=/etc/clientele/server_url /usr/bin/clientele serve --listen 127.0.0.1:0")
        except AssertionError as error:
            expected = "permission denied for schema public: grant the right to the role, or run `clientele migrate`"
            assert expected in str(error), error
        else:
            raise AssertionError("the server has migrated")
        back = "INSERT INTO seaql_migrations SELECT * FROM kept ON CONFLICT DO NOTHING"
        machine.run(f"{AS_POSTGRES} -c '{back}' -c 'DROP TABLE kept'")

    def after(self, machine):
        with load(machine):
            machine.run("sleep 2")
        known = [NO_AUDIT_KEY]
        no_warnings(machine, known=known)
        machine.run("systemctl stop clientele")


class PgBouncer(Section):
    needs = "Roles"

    def after(self, machine):
        with load(machine):
            machine.run("sleep 3")
        no_warnings(machine, known=[NO_AUDIT_KEY])
        machine.run("systemctl stop clientele pgbouncer")
        verified = machine.run(f"{AS_POSTGRES} -At -c 'SELECT count(*) FROM client'")
        assert int(verified) > SEEDED, verified


class Dump(OnPostgres):
    """PgBouncer runs, and has sessions of the database."""

    needs = "PgBouncer"
    url_file = "/etc/clientele/pool_url"

    def before(self, machine):
        machine.run("systemctl start pgbouncer")
        super().before(machine)

    def after(self, machine):
        super().after(machine)
        machine.run("systemctl stop pgbouncer")

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
        # The restart was an outage.
        machine.run("until curl --fail --silent http://127.0.0.1:8080/health/ready >/dev/null; do sleep 0.1; done")
        with load(machine):
            machine.run("sleep 1")
        now = machine.run(f"{AS_POSTGRES} -At -c 'SELECT clock_timestamp()'")
        machine.values["2026-11-30 10:00:00+00"] = now.strip()
        with load(machine):
            machine.run("sleep 1")
        wrong = CLIENT.replace("Okafor", "Wrong").replace("input: {", "input: { matchOn: CLIENT_ID,")
        graphql(machine, wrong)
        read = machine.run(f"{AS_POSTGRES} -At -c \"SELECT last_name FROM client WHERE client_id = 'C-1'\"")
        assert read == "Wrong\n", read


class Upgrade(Section):
    needs = "Roles"

    def before(self, machine):
        machine.run("systemctl stop clientele")
        use_postgres(machine)
        connect(machine, "/etc/clientele/server_url")
        machine.use(machine.older, "a", "b")

    def at(self, machine, number):
        if number == 2:
            machine.run("ssh a.bank.test systemctl start clientele; ssh b.bank.test systemctl start clientele")
        if number == 4:
            self.load = load(machine, "http://lb.bank.test:8080")
            self.load.__enter__()
            # What steps of a later version do to servers that run.
            machine.run(f"{AS_POSTGRES} -c 'ALTER TABLE client ADD COLUMN of_later text' "
                        "-c \"ALTER TABLE address ADD COLUMN of_later text NOT NULL DEFAULT ''\" "
                        "-c 'CREATE TABLE of_later (client_key text)'")
        if number == 6:
            self.load.__exit__(None, None, None)

    def after(self, machine):
        for host in "ab":
            no_warnings(machine, f"/var/log/clientele-{host}.log", [NO_AUDIT_KEY])
            link = (machine.root / f"usr/bin/clientele-{host}").readlink()
            assert str(link) == machine.program, link
        machine.run(f"{AS_POSTGRES} -c 'ALTER TABLE client DROP COLUMN of_later' -c 'DROP TABLE of_later' "
                    "-c 'ALTER TABLE address DROP COLUMN of_later'")
        machine.run("systemctl stop haproxy; ssh a.bank.test systemctl stop clientele")
        machine.run("ssh b.bank.test systemctl stop clientele")


class Password(OnPostgres):
    """The server is connected through PgBouncer, and answers all requests until its restart."""

    needs = "PgBouncer"
    url_file = "/etc/clientele/pool_url"

    def before(self, machine):
        machine.run("systemctl start pgbouncer")
        super().before(machine)

    def at(self, machine, number):
        if number == 0:
            self.load = load(machine)
            self.load.__enter__()
        if number == 2:
            self.load.__exit__(None, None, None)

    def after(self, machine):
        super().after(machine)
        no_warnings(machine, known=[NO_AUDIT_KEY])
        machine.run("systemctl stop pgbouncer")

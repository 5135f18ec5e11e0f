"""The marked sections of the page, in their order."""

import on_postgres
import on_sqlite

SECTIONS = {
    "TLS": on_sqlite.Tls(),
    "Encryption": on_postgres.Encryption(),
    "Roles": on_postgres.Roles(),
    "PgBouncer": on_postgres.PgBouncer(),
    "SQLite: clientele backup": on_sqlite.Backup(),
    "SQLite: sqlite3": on_sqlite.OnlineBackup(),
    "SQLite: Litestream": on_sqlite.Litestream(),
    "PostgreSQL: pg_dump": on_postgres.Dump(),
    "PostgreSQL: any time": on_postgres.AnyTime(),
    "Two servers without a pause": on_postgres.Upgrade(),
    "The audit key": on_sqlite.AuditKey(),
    "Tokens and passwords": on_sqlite.Tokens(),
    "The password of the database": on_postgres.Password(),
    "Logs": on_sqlite.Logs(),
    "Retention": on_sqlite.Retention(),
}

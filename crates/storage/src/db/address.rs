//! Validates database addresses. Its messages name parameters, never a value that may be secret.

use std::{borrow::Cow, net::IpAddr, num::NonZeroU16};

use sea_orm::sqlx::{
    self,
    postgres::{PgConnectOptions, PgSslMode},
    sqlite::SqliteConnectOptions,
};

use super::Dialect;

/// The parameters of a PostgreSQL address. The driver ignores any others.
const POSTGRES: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "application_name",
    "options",
    "statement-cache-capacity",
];
/// Aliases that the driver accepts.
const POSTGRES_ALIASES: &[(&str, &str)] = &[
    ("ssl-mode", "sslmode"),
    ("ssl-root-cert", "sslrootcert"),
    ("ssl-ca", "sslrootcert"),
    ("ssl-cert", "sslcert"),
    ("ssl-key", "sslkey"),
];
const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];
/// The modes that verify the server's certificate.
const VERIFYING: &[&str] = &["verify-ca", "verify-full"];

const SQLITE: &[&str] = &["mode", "cache", "immutable"];
const SQLITE_MODES: &[&str] = &["ro", "rw", "rwc"];
const IN_MEMORY: &str =
    "must name a file, as in sqlite:clientele.db: a database in memory would be lost with the process";

/// Validates an address without connecting. The error is a reason that follows the setting's name.
pub fn check_address(url: &str) -> Result<(), String> {
    match Dialect::of(url) {
        Dialect::Postgres => check_postgres(url),
        Dialect::Sqlite => check_sqlite(url),
    }
}

/// Returns true when the driver accepts this `sslmode`.
pub fn is_ssl_mode(mode: &str) -> bool {
    mode.parse::<PgSslMode>().is_ok()
}

/// The address in the form that the driver parses: it requires a host, even if a parameter names the host or the
/// socket.
fn readable(url: &str) -> Cow<'_, str> {
    let Some(start) = url.find("://").map(|at| at + "://".len()) else {
        return url.into();
    };
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |at| start + at);
    let authority = &url[start..end];
    let host = authority.rfind('@').map_or(start, |at| start + at + 1);
    let is_missing = !authority.is_empty() && (host == end || url[host..].starts_with(':'));
    match is_missing && Dialect::of(url) == Dialect::Postgres {
        true => format!("{}localhost{}", &url[..host], &url[host..]).into(),
        false => url.into(),
    }
}

/// Returns true when a SQLite address opens the database read-only.
pub fn is_read_only(url: &str) -> bool {
    parameters(url, SQLITE).is_ok_and(|given| {
        let mut given = given.into_iter();
        given.any(|parameter| matches!(parameter, ("mode", "ro") | ("immutable", "1" | "true")))
    })
}

/// Returns false if a PostgreSQL address turns off the cache of prepared statements.
pub fn caches_statements(url: &str) -> bool {
    let mut given = parameters(url, POSTGRES).unwrap_or_default().into_iter();
    !given.any(|(name, value)| name == "statement-cache-capacity" && value.parse() == Ok(0))
}

/// The canonical name of a parameter.
pub fn parameter(name: &str) -> &str {
    let alias = POSTGRES_ALIASES.iter().find(|(alias, _)| *alias == name);
    alias.map_or(name, |(_, name)| *name)
}

/// The options of a PostgreSQL address that [`check_address`] accepts.
pub(super) fn postgres(url: &str) -> Result<PgConnectOptions, sqlx::Error> {
    readable(url).parse().map(without_brackets)
}

/// Removes the brackets of an IPv6 host: the driver resolves the host as a name, which has none.
fn without_brackets(options: PgConnectOptions) -> PgConnectOptions {
    let host = options.get_host().trim_matches(['[', ']']).to_owned();
    options.host(&host)
}

fn check_postgres(url: &str) -> Result<(), String> {
    if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
        return Err("must begin with sqlite: or postgres://, as in postgres://USER:PASSWORD@HOST/NAME".to_owned());
    }
    if url.contains('#') {
        return Err("can't be read: a # must be written %23".to_owned());
    }
    let given = parameters(url, POSTGRES)?;
    let value = |name: &str| given.iter().find(|(given, _)| *given == name).map(|(_, value)| *value);
    let mode = value("sslmode");
    let verifies = |mode: &str| VERIFYING.iter().any(|known| known.eq_ignore_ascii_case(mode));
    if mode.is_some_and(|mode| !is_ssl_mode(mode)) {
        return Err(format!("has a wrong sslmode: use one of {}", SSL_MODES.join(", ")));
    }
    if value("statement-cache-capacity").is_some_and(|capacity| capacity.parse::<u16>().is_err()) {
        return Err(
            "has a wrong statement-cache-capacity: use 0 behind a pooler in transaction mode, or leave it out"
                .to_owned(),
        );
    }
    if value("port").is_some_and(|port| port.parse::<NonZeroU16>().is_err()) {
        return Err("has a wrong port: use a number from 1 to 65535".to_owned());
    }
    if value("hostaddr").is_some_and(|address| address.parse::<IpAddr>().is_err()) {
        return Err("has a wrong hostaddr: use an IP address, or the parameter host for a name".to_owned());
    }
    // Without a verifying mode, the driver ignores the certificate.
    if value("sslrootcert").is_some() && !mode.is_some_and(verifies) {
        return Err(
            "has an sslrootcert, which only sslmode=verify-ca and sslmode=verify-full use: add one of them".into(),
        );
    }
    if value("sslcert").is_some() != value("sslkey").is_some() {
        return Err("needs both sslcert and sslkey, or neither".to_owned());
    }
    if readable(url) != url && value("host").or(value("hostaddr")).is_none() {
        return Err(
            "has no host: write postgres://USER@HOST/NAME, or ?host=/DIRECTORY for the directory of a socket".into(),
        );
    }
    match postgres(url) {
        Ok(options) => check_names(&options),
        Err(sqlx::Error::Configuration(reason)) => Err(format!(
            "can't be read ({reason}): special characters of names and passwords must be percent-encoded, as in %40 \
             for @ and %2F for /"
        )),
        Err(_) => Err("can't be read".to_owned()),
    }
}

/// A mistyped address can have its password in one of these values, which are shown and logged.
fn check_names(options: &PgConnectOptions) -> Result<(), String> {
    let database = options.get_database().unwrap_or_default();
    if database.contains(['=', ';', '&']) || database.contains(char::is_whitespace) {
        return Err("names a database with = ; & or a blank: parameters follow a ?, separated by &".to_owned());
    }
    if options.get_username().contains(':') {
        return Err("names a user with a colon: write the password after a : that isn't percent-encoded".to_owned());
    }
    if options.get_host().contains('@') {
        return Err("names a host with an @: the user and the password stand before the host".to_owned());
    }
    Ok(())
}

fn check_sqlite(url: &str) -> Result<(), String> {
    for (name, value) in parameters(url, SQLITE)? {
        match name {
            "mode" if value == "memory" => return Err(IN_MEMORY.to_owned()),
            "mode" if !SQLITE_MODES.contains(&value) => {
                return Err(format!("has a wrong mode: use one of {}", SQLITE_MODES.join(", ")));
            }
            _ => {}
        }
    }
    let options: SqliteConnectOptions = match url.parse() {
        Ok(options) => options,
        Err(sqlx::Error::Configuration(reason)) => return Err(format!("can't be read: {reason}")),
        Err(_) => return Err("can't be read".to_owned()),
    };
    let file = options.get_filename().to_string_lossy();
    if file.is_empty() {
        return Err("names no file: write sqlite:FILE, as in sqlite:clientele.db".to_owned());
    }
    // The driver turns the literal `:memory:` into a URI. Other URIs could also name a database in memory.
    if file.trim_start_matches('/') == ":memory:" || file.starts_with("file:") {
        return Err(IN_MEMORY.to_owned());
    }
    if file.contains("://") {
        return Err("has two schemes: write either sqlite:FILE or postgres://USER:PASSWORD@HOST/NAME".to_owned());
    }
    if file.contains('\0') {
        return Err("can't be read: the name of a file has no %00".to_owned());
    }
    Ok(())
}

/// The parameters as written. Names are compared without decoding, so an encoded name is unknown.
fn parameters<'a>(url: &'a str, known: &[&str]) -> Result<Vec<(&'a str, &'a str)>, String> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    let query = url.split_once('?').map_or("", |(_, query)| query);
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let name = self::parameter(name);
        let is_option = known.contains(&"options") && name.starts_with("options[") && name.ends_with(']');
        if !known.contains(&name) && !is_option {
            return Err(unknown(name, &found, known));
        }
        if found.iter().any(|(given, _)| *given == name) {
            return Err(format!("has the parameter {name} twice: remove one of them"));
        }
        found.push((name, value));
    }
    Ok(found)
}

fn unknown(name: &str, before: &[(&str, &str)], known: &[&str]) -> String {
    let is_word = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let after_password = before.iter().any(|(name, _)| *name == "password");
    let known = known.join(", ");
    match name {
        "ssl" => "has the parameter ssl, which doesn't encrypt the connection: write sslmode=require, or \
                  sslmode=verify-full, which also checks the server's certificate"
            .to_owned(),
        // It may be a part of that password.
        _ if after_password => {
            format!("has an unknown parameter after the password, in which & must be written %26; known are {known}")
        }
        _ if is_word => format!("has the unknown parameter {name}: remove it; known are {known}"),
        _ => format!("has an unknown parameter: remove it; known are {known}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{check_address, postgres};

    #[test]
    fn mistyped_address_is_refused_without_its_password() {
        for url in [
            "postgres://u@h/d password=hunter2",
            "postgres://h/d;password=hunter2",
            "postgres://h/d&password=hunter2",
            "postgres://u%3Ahunter2@h/d",
            "postgres:///d?host=u:hunter2@h",
            "sqlite:postgres://u:hunter2@h/d",
        ] {
            let reason = check_address(url).expect_err(url);
            assert!(!reason.contains("hunter2"), "{url}: {reason}");
        }
    }

    #[test]
    fn sqlite_address_must_name_file() {
        for url in [
            "sqlite:",
            "sqlite://",
            "sqlite:?mode=rwc",
            "sqlite://?mode=rwc",
            "sqlite:?",
            "sqlite:sqlite:",
        ] {
            let reason = "names no file: write sqlite:FILE, as in sqlite:clientele.db";
            assert_eq!(check_address(url), Err(reason.to_owned()), "{url}");
        }
        for url in [
            "sqlite::memory:",
            "sqlite://:memory:",
            "sqlite:///:memory:",
            "sqlite:sqlite::memory:",
            "sqlite:%3Amemory%3A",
            "sqlite:%3amemory:",
            "sqlite://%3Amemory%3a?mode=rwc",
            "sqlite:x?mode=memory",
            "sqlite:?mode=memory",
            "sqlite:file::memory:",
            "sqlite:file:x?mode=rwc",
            "sqlite:file:x%3Fmode=memory",
            "sqlite:%66ile:x%3Fmode%3Dmemory%26cache%3Dshared",
        ] {
            let error = check_address(url).expect_err(url);
            assert!(
                error.starts_with("must name a file, as in sqlite:clientele.db"),
                "{url}: {error}"
            );
        }
        let known = "known are mode, cache, immutable";
        for (url, reason) in [
            (
                "sqlite:x?m%6Fde=memory",
                format!("has an unknown parameter: remove it; {known}"),
            ),
            (
                "sqlite:x?vfs=memdb",
                format!("has the unknown parameter vfs: remove it; {known}"),
            ),
            (
                "sqlite:x?key=hunter2",
                format!("has the unknown parameter key: remove it; {known}"),
            ),
            (
                "sqlite:x?mode=m%65mory",
                "has a wrong mode: use one of ro, rw, rwc".to_owned(),
            ),
            (
                "sqlite:x?mode=ro&mode=rw",
                "has the parameter mode twice: remove one of them".to_owned(),
            ),
            ("sqlite:x%00", "can't be read: the name of a file has no %00".to_owned()),
        ] {
            assert_eq!(check_address(url), Err(reason), "{url}");
        }
        for url in [
            "sqlite:clientele.db",
            "sqlite:///var/lib/clientele.db",
            "sqlite:a%3Fb.db?mode=rw&cache=private&immutable=1",
            "sqlite:memory",
            "sqlite:/data/:memory:",
        ] {
            assert_eq!(check_address(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn postgres_address_has_no_unknown_parameter() {
        let known = "known are host, hostaddr, port, dbname, user, password, sslmode, sslrootcert, sslcert, sslkey, \
                     application_name, options, statement-cache-capacity";
        for (parameters, reason) in [
            (
                "ssl=true",
                "has the parameter ssl, which doesn't encrypt the connection: write sslmode=require, or \
                 sslmode=verify-full, which also checks the server's certificate"
                    .to_owned(),
            ),
            (
                "pwd=hunter2",
                format!("has the unknown parameter pwd: remove it; {known}"),
            ),
            (
                "sslpassword=hunter2",
                format!("has the unknown parameter sslpassword: remove it; {known}"),
            ),
            (
                "%73slmode=require",
                format!("has an unknown parameter: remove it; {known}"),
            ),
            (
                "Sslmode=require",
                format!("has the unknown parameter Sslmode: remove it; {known}"),
            ),
            (
                "password=hun&ter2",
                format!("has an unknown parameter after the password, in which & must be written %26; {known}"),
            ),
            (
                "sslmode=true",
                "has a wrong sslmode: use one of disable, allow, prefer, require, verify-ca, verify-full".to_owned(),
            ),
            (
                "sslmode=require&ssl-mode=disable",
                "has the parameter sslmode twice: remove one of them".to_owned(),
            ),
            ("sslcert=/c.pem", "needs both sslcert and sslkey, or neither".to_owned()),
            (
                "sslmode=require&sslrootcert=/ca.pem",
                "has an sslrootcert, which only sslmode=verify-ca and sslmode=verify-full use: add one \
                 of them"
                    .to_owned(),
            ),
            (
                "statement-cache-capacity=x",
                "has a wrong statement-cache-capacity: use 0 behind a pooler in transaction mode, or leave it out"
                    .to_owned(),
            ),
            ("port=0", "has a wrong port: use a number from 1 to 65535".to_owned()),
            (
                "hostaddr=db",
                "has a wrong hostaddr: use an IP address, or the parameter host for a name".to_owned(),
            ),
            ("sslmode=require#", "can't be read: a # must be written %23".to_owned()),
        ] {
            let url = format!("postgres://ana@db/bank?{parameters}");
            assert_eq!(check_address(&url), Err(reason), "{url}");
        }
    }

    #[test]
    fn postgres_address_is_read_or_explained() {
        let encoded =
            "special characters of names and passwords must be percent-encoded, as in %40 for @ and %2F for /";
        for (url, reason) in [
            (
                "postgres://ana:p/w@db/bank",
                format!("can't be read (invalid port number): {encoded}"),
            ),
            (
                "postgres://ana@db:port/bank",
                format!("can't be read (invalid port number): {encoded}"),
            ),
            (
                "postgres:db/bank",
                "must begin with sqlite: or postgres://, as in postgres://USER:PASSWORD@HOST/NAME".to_owned(),
            ),
            (
                "postgres://ana@/bank",
                "has no host: write postgres://USER@HOST/NAME, or ?host=/DIRECTORY for the directory of a socket"
                    .to_owned(),
            ),
        ] {
            assert_eq!(check_address(url), Err(reason), "{url}");
        }
        for (url, host, socket) in [
            ("postgres://ana@/bank?host=/run/pg", "localhost", Some("/run/pg")),
            (
                "postgresql://ana:pass@:5433/bank?host=/run/pg",
                "localhost",
                Some("/run/pg"),
            ),
            ("postgres://%2Frun%2Fpg/bank", "", Some("/run/pg")),
            ("postgres://[::1]:5432/bank", "::1", None),
            (
                "postgres://db/bank?options=-c%20jit%3Doff&options[work_mem]=64MB",
                "db",
                None,
            ),
        ] {
            assert_eq!(check_address(url), Ok(()), "{url}");
            let options = postgres(url).expect(url);
            assert_eq!(options.get_socket().and_then(|path| path.to_str()), socket, "{url}");
            assert!(host.is_empty() || options.get_host() == host, "{url}");
        }
    }
}

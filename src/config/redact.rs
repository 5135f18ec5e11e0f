//! Hides secrets in database addresses, and in any text that may be one: a mistyped address contains the same password.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

use clientele_storage::db::parameter;

const HIDDEN: &str = "***";

/// Parameters whose values are shown. All others may be secret.
const SHOWN: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "user",
    "dbname",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "application_name",
    "statement-cache-capacity",
    "mode",
    "cache",
    "immutable",
];

/// The database address, which may contain a password. Printing it hides the password.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The address with its password, for opening connections only.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&redacted(&self.0))
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Returns true when a file name can be shown. Other text may be a misplaced secret.
pub fn is_path(file: &str) -> bool {
    file.starts_with(['/', '.'])
}

/// The text without potential secrets: in URLs, their parameters, and libpq's `host=h password=p`.
pub fn redacted(text: &str) -> String {
    let scheme = text.find("://");
    let is_sqlite = text.starts_with("sqlite:");
    let is_url = is_sqlite || scheme.is_some_and(|scheme| text.find('=').is_none_or(|equals| scheme < equals));
    if !is_url && text.contains('=') {
        return without_values(text);
    }
    let (mut shown, place) = match is_sqlite {
        true => (String::new(), text),
        false => without_password(text, scheme),
    };
    match place.split_once('?') {
        Some((place, parameters)) => {
            shown.push_str(&format!("{place}?{}", without_values(parameters)));
        }
        None => shown.push_str(place),
    }
    shown
}

/// The user's name, and the text after the credentials. Everything from the first separator after the name to the last
/// `@` counts as the password, which may contain `/`, `?` or `@`.
fn without_password(url: &str, scheme: Option<usize>) -> (String, &str) {
    let start = scheme.map_or(0, |at| at + "://".len());
    if let Some((credentials, place)) = url.rsplit_once('@') {
        let name = credentials.get(start..).and_then(|name| name.find([':', '/', '?']));
        return match name {
            Some(end) => (format!("{}:{HIDDEN}@", &credentials[..start + end]), place),
            None => (format!("{credentials}@"), place),
        };
    }
    // Without the `@`, a password is in the position of the port.
    let authority = &url[start..];
    let authority = &authority[..authority.find(['/', '?', '#']).unwrap_or(authority.len())];
    match authority.rsplit_once(':') {
        Some((host, port)) if scheme.is_some() && !authority.ends_with(']') && !is_port(port) => {
            (format!("{}{host}:{HIDDEN}", &url[..start]), "")
        }
        _ => (String::new(), url),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Shows `name=value` pairs up to the first value that may be secret: its end can't be determined.
fn without_values(text: &str) -> String {
    let is_separator = |letter: char| letter.is_whitespace() || "&;?#".contains(letter);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('=') {
        let start = text.len() - rest.len();
        let name = before.trim();
        if name.contains(is_separator) {
            return format!("{}{HIDDEN}", &text[..start]);
        }
        let blanks = after.len() - after.trim_start().len();
        let end = after[blanks..].find(is_separator).map_or(after.len(), |at| blanks + at);
        if !SHOWN.contains(&parameter(name)) || after[..end].contains('=') {
            return format!("{}{before}={HIDDEN}", &text[..start]);
        }
        rest = after[end..].strip_prefix(is_separator).unwrap_or_default();
    }
    match rest.trim().is_empty() {
        true => text.to_owned(),
        false => format!("{}{HIDDEN}", &text[..text.len() - rest.len()]),
    }
}

#[cfg(test)]
mod tests {
    use super::{DatabaseUrl, redacted};

    #[test]
    fn printed_address_holds_no_password() {
        for (given, shown) in [
            ("sqlite:clientele.db", "sqlite:clientele.db"),
            ("postgres://ana:secret@db:5432/bank", "postgres://ana:***@db:5432/bank"),
        ] {
            let url = DatabaseUrl::new(given);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("DatabaseUrl({shown})"));
        }
    }

    #[test]
    fn redacted_text_holds_no_secret() {
        for (given, shown) in [
            ("", ""),
            ("--colour", "--colour"),
            ("127.0.0.1:80a", "127.0.0.1:80a"),
            ("sqlite:clientele.db", "sqlite:clientele.db"),
            ("sqlite:clientele.db?mode=rwc", "sqlite:clientele.db?mode=rwc"),
            (
                "sqlite:a=b.db?mode=rw&key=secret&cache=private",
                "sqlite:a=b.db?mode=rw&key=***",
            ),
            ("sqlite:/home/ana@bank/clients.db", "sqlite:/home/ana@bank/clients.db"),
            ("postgres://ana@db/bank", "postgres://ana@db/bank"),
            ("postgres://ana:secret@db:5432/bank", "postgres://ana:***@db:5432/bank"),
            (
                "postgres://ana:s/e?c@r#et@db/bank?sslmode=require",
                "postgres://ana:***@db/bank?sslmode=require",
            ),
            (
                "postgres://db/bank?user=ana&password=secret&sslmode=require",
                "postgres://db/bank?user=ana&password=***",
            ),
            (
                "postgres://db/bank?password=sec&ret&dbname=x",
                "postgres://db/bank?password=***",
            ),
            (
                "postgres://db/bank?sslpassword=secret",
                "postgres://db/bank?sslpassword=***",
            ),
            ("postgres://db/bank?sslpassword=secret@x", "postgres://db:***@x"),
            ("postgres://db/bank?pwd=secret", "postgres://db/bank?pwd=***"),
            (
                "postgres://db/bank?sslmode=require#secret",
                "postgres://db/bank?sslmode=require#***",
            ),
            ("postgres://db/bank?secret", "postgres://db/bank?***"),
            ("postgres://ana:secret/bank", "postgres://ana:***"),
            ("postgres://ana:secret", "postgres://ana:***"),
            ("postgres://db:5432/bank", "postgres://db:5432/bank"),
            ("postgres://[::1]/bank", "postgres://[::1]/bank"),
            ("ana:secret@db", "ana:***@db"),
            ("host=h password=secret", "host=h password=***"),
            ("host=h password='a secret' dbname=x", "host=h password=***"),
            ("host = h  password = secret", "host = h  password =***"),
            ("host=h password=se@cret", "host=h password=***"),
            ("host=h password=x://secret", "host=h password=***"),
            ("host= password=secret", "host=***"),
            ("host=h secret", "host=h ***"),
            ("host=h secret password=x", "host=h ***"),
            ("PASSWORD=secret", "PASSWORD=***"),
            ("DATABASE_URL=postgres://ana:secret@db", "DATABASE_URL=***"),
            ("Server=db;Pwd=secret", "Server=***"),
            (
                "jdbc:postgresql://db/bank?user=ana&password=secret",
                "jdbc:postgresql://db/bank?user=ana&password=***",
            ),
        ] {
            assert_eq!(redacted(given), shown, "{given}");
        }
    }
}

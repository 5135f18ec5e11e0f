//! The database's address, which may hold a password: printing it in any way hides that.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

const HIDDEN: &str = "***";

#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The address with its password, for whoever opens the connection and for nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn is_sqlite(&self) -> bool {
        self.0.starts_with("sqlite:")
    }

    pub fn is_in_memory(&self) -> bool {
        self.is_sqlite() && (self.0.contains(":memory:") || self.0.contains("mode=memory"))
    }

    pub fn is_postgres(&self) -> bool {
        self.0.starts_with("postgres:") || self.0.starts_with("postgresql:")
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&masked(&self.0))
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

/// Works on any text, not only on a well-formed address: a mistyped one holds the same password. Everything from the first
/// mark after the user's name to the last `@` counts as password, so one with `/`, `?` or `@` in it is hidden whole.
fn masked(url: &str) -> String {
    if url.starts_with("sqlite:") {
        return url.to_owned();
    }
    let (credentials, place) = url
        .rsplit_once('@')
        .map_or(("", url), |(before, after)| (before, after));
    let mut shown = String::new();
    if !credentials.is_empty() {
        let start = credentials.find("://").map_or(0, |at| at + "://".len());
        match credentials[start..].find([':', '/', '?']) {
            Some(end) => shown.push_str(&format!("{}:{HIDDEN}@", &credentials[..start + end])),
            None => shown.push_str(&format!("{credentials}@")),
        }
    }
    match place.split_once('?') {
        Some((place, parameters)) => {
            let parameters: Vec<_> = parameters.split('&').map(without_secret).collect();
            shown.push_str(&format!("{place}?{}", parameters.join("&")));
        }
        None => shown.push_str(place),
    }
    shown
}

fn without_secret(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _secret)) if name.to_ascii_lowercase().contains("pass") => format!("{name}={HIDDEN}"),
        _ => parameter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::DatabaseUrl;

    #[test]
    fn a_printed_address_never_holds_the_password() {
        for (given, shown) in [
            ("sqlite:clientele.db", "sqlite:clientele.db"),
            ("sqlite:clientele.db?mode=rwc", "sqlite:clientele.db?mode=rwc"),
            ("postgres://ana@db/bank", "postgres://ana@db/bank"),
            ("postgres://ana:secret@db:5432/bank", "postgres://ana:***@db:5432/bank"),
            (
                "postgres://ana:s/e?c@r#et@db/bank?sslmode=require",
                "postgres://ana:***@db/bank?sslmode=require",
            ),
            (
                "postgres://db/bank?user=ana&password=secret",
                "postgres://db/bank?user=ana&password=***",
            ),
            ("postgres://db/bank?sslpassword=secret@x", "postgres://db:***@x"),
            ("sqlite:/home/ana@bank/clients.db", "sqlite:/home/ana@bank/clients.db"),
            ("ana:secret@db", "ana:***@db"),
        ] {
            let url = DatabaseUrl::new(given);
            assert_eq!(url.to_string(), shown);
            assert_eq!(format!("{url:?}"), format!("DatabaseUrl({shown})"));
        }
    }
}

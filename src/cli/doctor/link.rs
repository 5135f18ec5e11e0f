//! The pages and headings that findings refer to, as paths in the source and in packages.

/// A page of the documentation, and a heading on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link(&'static str);

impl Link {
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

macro_rules! links {
    ($($name:ident: $link:literal,)+) => {
        $(pub(super) const $name: Link = Link($link);)+
        #[cfg(test)]
        const ALL: &[Link] = &[$($name),+];
    };
}

links! {
    AUDIT_KEY: "docs/audit.md#the-key",
    CITUS: "docs/operations.md#several-machines-citus",
    DOCTOR: "docs/operations.md#check-an-installation",
    DELIVERY: "docs/notifications.md#delivery",
    ISSUER: "docs/access.md#tokens-of-an-issuer",
    MIGRATIONS: "docs/operations.md#upgrade",
    POSTGRESQL: "docs/operations.md#postgresql",
    REPLICAS: "docs/operations.md#read-replicas",
    SECRET_FILES: "docs/operations.md#secret-files",
    SEND: "docs/notifications.md#send",
    SETTINGS: "docs/operations.md#settings",
    SQLITE: "docs/operations.md#sqlite",
    START: "docs/operations.md#start",
    TELEMETRY: "docs/telemetry.md#settings",
    TLS: "docs/operations.md#tls",
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::ALL;

    /// The fragment that renderers of Markdown give a heading.
    fn fragment(heading: &str) -> String {
        let kept = heading.trim_start_matches('#').trim().chars();
        let kept = kept.filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    }

    #[test]
    fn every_link_leads_to_a_heading() {
        for link in ALL {
            let (page, named) = link.as_str().split_once('#').expect("a heading");
            let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).expect(page);
            let mut headings = text.lines().filter(|line| line.starts_with('#'));
            assert!(headings.any(|heading| fragment(heading) == named), "{link:?}");
        }
    }
}

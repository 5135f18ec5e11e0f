//! Validates e-mail addresses and converts their domains to the ASCII form that any mail server accepts.
//!
//! The rules are narrower than the grammar of RFC 5322: a quoted name, a comment or an IP address as a domain is almost
//! always a mistake or an attempt to confuse a mail server.

use email_address::EmailAddress;
use idna::{
    AsciiDenyList,
    uts46::{DnsLength, Hyphens, Uts46},
};

use crate::text::is_invisible;

/// The maximum length in bytes: SMTP allows 256, including the angle brackets.
const LONGEST: usize = 254;

/// Returns true when `text` is a bare address, `name@example.com`: no display name, no quotes, no white space, no
/// control or invisible characters, and a domain with a dot. Name and domain may contain any letters (an IDN).
pub fn is_address(text: &str) -> bool {
    let Some((name, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let quoted = name.starts_with('"');
    let readable = |character: char| !character.is_control() && !is_invisible(character);
    !quoted
        && text.chars().all(readable)
        && EmailAddress::is_valid_local_part(name)
        && ascii_domain(domain).is_some_and(|ascii| name.len() + 1 + ascii.len().max(domain.len()) <= LONGEST)
}

/// The ASCII form of a domain with at least one dot (`xn--…` labels for non-ASCII ones). None for single labels, IP
/// addresses and invalid domains.
pub fn ascii_domain(domain: &str) -> Option<String> {
    let (deny, hyphens) = (AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    let ascii = Uts46::new().to_ascii(domain.as_bytes(), deny, hyphens, DnsLength::Verify);
    let ascii = ascii.ok()?;
    let (_, top_level) = ascii.rsplit_once('.')?;
    let numeric = top_level.bytes().all(|byte| byte.is_ascii_digit());
    (!numeric).then(|| ascii.into_owned())
}

#[cfg(test)]
mod tests {
    use super::{ascii_domain, is_address};

    #[test]
    fn address_is_bare_and_has_domain_with_dot() {
        for text in [
            "a@b.test",
            "ines.okafor+bank@mail.example.co.test",
            "o'brien@example.test",
            "INES@EXAMPLE.TEST",
            "inés@example.test",
            "ines@bücher.test",
            "ines@xn--bcher-kva.test",
            "ines@例え.テスト",
            "a@1.test",
        ] {
            assert!(is_address(text), "{text}");
        }
        for text in [
            "",
            "@",
            "a",
            "a@",
            "@b.test",
            "a@localhost",
            "a@b.",
            "a@.test",
            "a@b..test",
            "a@b.test.",
            "a@b@c.test",
            "a b@c.test",
            "a@b .test",
            " a@b.test",
            "a@b.test ",
            "a@b.test\r\n",
            "Name <a@b.test>",
            "Na\r\nme <a@b.test>",
            "<a@b.test>",
            "\"a b\"@c.test",
            "\"a\"@c.test",
            "a(comment)@b.test",
            "a@b.test(comment)",
            "a@[192.0.2.1]",
            "a@192.0.2.1",
            "a@[IPv6:2001:db8::1]",
            "a@b!c.test",
            "a@b_c.test",
            "a@-b.test",
            "a@b-.test",
            ".a@b.test",
            "a.@b.test",
            "a..b@c.test",
            "a@b.test, c@d.test",
            "a@b.test;c@d.test",
            "a\u{200b}@b.test",
            "a@b\u{ad}c.test",
            "a\0@b.test",
            "a\u{85}@b.test",
            "a@b\u{202e}.test",
        ] {
            assert!(!is_address(text), "{text:?}");
        }
    }

    #[test]
    fn address_fits_into_an_smtp_command() {
        let label = "d".repeat(63);
        let domain = |last: usize| format!("{label}.{label}.{}.test", "d".repeat(last));
        let name = "n".repeat(64);
        assert!(is_address(&format!("{name}@{}", domain(56))));
        assert!(!is_address(&format!("{name}@{}", domain(57))));
        assert!(!is_address(&format!("{name}n@b.test")));
        assert!(!is_address(&format!("a@{label}d.test")));
        // Within the limit as written, over the limit as sent.
        assert!(!is_address(&format!("a@{}.test", "\u{10400}".repeat(60))));
    }

    #[test]
    fn domain_has_an_ascii_form() {
        assert_eq!(ascii_domain("Bücher.Test").as_deref(), Some("xn--bcher-kva.test"));
        assert_eq!(ascii_domain("b.test").as_deref(), Some("b.test"));
        assert_eq!(ascii_domain("localhost"), None);
    }
}

//! What a request's headers say about who is calling. Pure: whether it is true is found out elsewhere.

use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::{access::PREFIX, secret::Secret};

/// The header of callers who know no other.
pub const API_KEY: &str = "apikey";
/// Longer credentials are nobody's; issued tokens come to some 2 KiB.
const LONGEST: usize = 8 * 1024;
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Who the caller claims to be, and with what.
#[derive(Debug, PartialEq, Eq)]
pub enum Credentials {
    Password {
        name: String,
        password: Secret,
    },
    /// An API token.
    Token(Secret),
    /// Something of three parts, as the tokens of issuers are.
    Issued(Secret),
}

/// Reads the credentials; none when there are none.
///
/// # Errors
/// A sentence about what is wrong with their form. It repeats nothing of them.
pub fn read(headers: &HeaderMap) -> Result<Option<Credentials>, &'static str> {
    let authorization = one(headers, AUTHORIZATION.as_str())?;
    let api_key = one(headers, API_KEY)?;
    match (authorization, api_key) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err("Send either the header Authorization or the header apiKey."),
        (None, Some(key)) => token(key.trim()).map(Some),
        (Some(text), None) => authorized(text).map(Some),
    }
}

fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, &'static str> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err("Send credentials once.");
    }
    let text = |value: &'a HeaderValue| value.to_str().ok().filter(|text| text.len() <= LONGEST);
    text(value)
        .map(Some)
        .ok_or("The credentials have a character, or a length, that no credentials have.")
}

fn authorized(text: &str) -> Result<Credentials, &'static str> {
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        token(rest.trim())
    } else if scheme.eq_ignore_ascii_case("basic") {
        basic(rest.trim())
    } else {
        Err("Authorization must begin with Basic or Bearer.")
    }
}

fn basic(encoded: &str) -> Result<Credentials, &'static str> {
    const FORM: &str = "After Basic there must be NAME:PASSWORD in base64, in UTF-8.";
    let text = BASE64
        .decode(encoded)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or(FORM)?;
    let (name, password) = text.split_once(':').ok_or(FORM)?;
    if name.is_empty() {
        return Err("The name of the user is missing.");
    }
    Ok(Credentials::Password {
        name: name.to_owned(),
        password: Secret::new(password),
    })
}

fn token(text: &str) -> Result<Credentials, &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    if text.is_empty() {
        return Err("The token is missing.");
    }
    if !text.bytes().all(plain) {
        return Err("The token has a character that no token has.");
    }
    let issued = !text.starts_with(PREFIX) && text.bytes().filter(|byte| *byte == b'.').count() == 2;
    let secret = Secret::new(text);
    Ok(if issued {
        Credentials::Issued(secret)
    } else {
        Credentials::Token(secret)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Credentials, read};
    use crate::secret::Secret;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
            (HeaderName::from_static(name), value)
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn credentials_are_read_in_every_form_there_is() {
        let user = |name: &str, password| Credentials::Password {
            name: name.to_owned(),
            password: Secret::new(password),
        };
        for (name, value, expected) in [
            ("authorization", "Basic YW5hOmh1bnRlcjI=", user("ana", "hunter2")),
            ("authorization", "bAsIc  YW5hOmh1bnRlcjI", user("ana", "hunter2")),
            ("authorization", "Basic YW5hOmE6Yg==", user("ana", "a:b")),
            ("authorization", "Basic YW5hOg==", user("ana", "")),
            (
                "authorization",
                "Bearer clt_a-b_c",
                Credentials::Token(Secret::new("clt_a-b_c")),
            ),
            ("apikey", "clt_a", Credentials::Token(Secret::new("clt_a"))),
            (
                "authorization",
                "bearer a.b.c",
                Credentials::Issued(Secret::new("a.b.c")),
            ),
        ] {
            assert_eq!(read(&headers(&[(name, value)])), Ok(Some(expected)), "{value}");
        }
        assert_eq!(read(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn what_has_no_known_form_is_told_apart_and_not_repeated() {
        let long = format!("Bearer {}", "a".repeat(9_000));
        for (pairs, sentence) in [
            (
                &[("authorization", "")][..],
                "Authorization must begin with Basic or Bearer.",
            ),
            (
                &[("authorization", "Digest a")],
                "Authorization must begin with Basic or Bearer.",
            ),
            (
                &[("authorization", "Basic")],
                "After Basic there must be NAME:PASSWORD in base64, in UTF-8.",
            ),
            (
                &[("authorization", "Basic !")],
                "After Basic there must be NAME:PASSWORD in base64, in UTF-8.",
            ),
            (
                &[("authorization", "Basic YW5h")],
                "After Basic there must be NAME:PASSWORD in base64, in UTF-8.",
            ),
            (&[("authorization", "Basic Ojo=")], "The name of the user is missing."),
            (
                &[("authorization", "Basic //86")],
                "After Basic there must be NAME:PASSWORD in base64, in UTF-8.",
            ),
            (&[("authorization", "Bearer ")], "The token is missing."),
            (
                &[("authorization", "Bearer a b")],
                "The token has a character that no token has.",
            ),
            (&[("apikey", "")], "The token is missing."),
            (
                &[("authorization", "Bearer a"), ("authorization", "Bearer a")],
                "Send credentials once.",
            ),
            (
                &[("authorization", "Bearer a"), ("apikey", "a")],
                "Send either the header Authorization or the header apiKey.",
            ),
            (
                &[("authorization", &long)],
                "The credentials have a character, or a length, that no credentials have.",
            ),
            (
                &[("apikey", "ä")],
                "The credentials have a character, or a length, that no credentials have.",
            ),
        ] {
            assert_eq!(read(&headers(pairs)), Err(sentence), "{pairs:?}");
        }
    }
}

//! Reads credentials from the headers of a request. Verifies nothing.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::api::metrics::SignInMethod;
use clientele_domain::access::{ACCESS_PREFIX, PREFIX};

/// The alternative header of callers that can't send Authorization.
static API_KEY: HeaderName = HeaderName::from_static("apikey");
/// Longer credentials are refused; issued tokens have about 2 KiB.
const LONGEST: usize = 8 * 1024;
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub const NO_CREDENTIALS: &str =
    "Sign in: send the header Authorization with Basic and your name and password, or with Bearer and a token.";

/// The credentials of a request. Printing them shows only their kind.
#[derive(PartialEq, Eq)]
pub enum Credentials<'a> {
    Password(Basic),
    /// An API token, or the access token of a session.
    Token(&'a str),
    /// A text of three parts, the form of issued tokens.
    Issued(&'a str),
}

impl Credentials<'_> {
    pub const fn are_issued(&self) -> bool {
        matches!(self, Self::Issued(_))
    }

    pub fn sign_in_method(&self) -> SignInMethod {
        match self {
            Self::Password(_) => SignInMethod::Password,
            Self::Token(token) if token.starts_with(ACCESS_PREFIX) => SignInMethod::AccessToken,
            Self::Token(_) => SignInMethod::Token,
            Self::Issued(_) => SignInMethod::IssuedToken,
        }
    }
}

impl fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password(_) => "Password(***)",
            Self::Token(_) => "Token(***)",
            Self::Issued(_) => "Issued(***)",
        })
    }
}

/// `NAME:PASSWORD`.
#[derive(PartialEq, Eq)]
pub struct Basic {
    text: String,
    colon: usize,
}

impl Basic {
    pub fn new(name: &str, password: &str) -> Self {
        Self::of(format!("{name}:{password}"), name.len())
    }

    /// Names are unique without regard to case. Converted to one case, they share the user's cached account and failure
    /// counts.
    fn of(mut text: String, colon: usize) -> Self {
        text[..colon].make_ascii_lowercase();
        Self { text, colon }
    }

    pub fn name(&self) -> &str {
        &self.text[..self.colon]
    }

    pub fn password(&self) -> &str {
        &self.text[self.colon + 1..]
    }
}

/// The header with the credentials, if there is one.
pub fn header(headers: &HeaderMap) -> Option<(&'static HeaderName, &HeaderValue)> {
    [&AUTHORIZATION, &API_KEY]
        .into_iter()
        .find_map(|name| Some((name, headers.get(name)?)))
}

/// Reads the credentials.
///
/// # Errors
/// A sentence about missing credentials or their invalid form. It repeats no part of them.
pub fn read(headers: &HeaderMap) -> Result<Credentials<'_>, &'static str> {
    let authorization = one(headers, &AUTHORIZATION)?;
    let api_key = one(headers, &API_KEY)?;
    match (authorization, api_key) {
        (None, None) => Err(NO_CREDENTIALS),
        (Some(_), Some(_)) => Err("Send either the header Authorization or the header apiKey."),
        (None, Some(key)) => token(key.trim()),
        (Some(text), None) => authorized(text),
    }
}

fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, &'static str> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err("Send credentials once.");
    }
    let text = |value: &'a HeaderValue| value.to_str().ok().filter(|text| text.len() <= LONGEST);
    text(value)
        .map(Some)
        .ok_or("The credentials are too long, or contain a character that isn't allowed.")
}

fn authorized(text: &str) -> Result<Credentials<'_>, &'static str> {
    let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if scheme.eq_ignore_ascii_case("bearer") {
        token(rest.trim())
    } else if scheme.eq_ignore_ascii_case("basic") {
        basic(rest.trim())
    } else {
        Err("Authorization must begin with Basic or Bearer.")
    }
}

fn basic(encoded: &str) -> Result<Credentials<'static>, &'static str> {
    const FORM: &str = "After Basic there must be NAME:PASSWORD in base64, in UTF-8.";
    let text = BASE64
        .decode(encoded)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or(FORM)?;
    let colon = text.find(':').ok_or(FORM)?;
    if colon == 0 {
        return Err("The name of the user is missing.");
    }
    Ok(Credentials::Password(Basic::of(text, colon)))
}

fn token(text: &str) -> Result<Credentials<'_>, &'static str> {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=');
    if text.is_empty() {
        return Err("The token is missing.");
    }
    if !text.bytes().all(plain) {
        return Err("The token contains a character that isn't allowed.");
    }
    let issued = !text.starts_with(PREFIX) && text.bytes().filter(|byte| *byte == b'.').count() == 2;
    Ok(if issued {
        Credentials::Issued(text)
    } else {
        Credentials::Token(text)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Basic, Credentials, NO_CREDENTIALS, read};

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
            (HeaderName::from_static(name), value)
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn credentials_are_read_in_every_form_there_is() {
        let user = |name: &str, password: &str| {
            let text = format!("{name}:{password}");
            Credentials::Password(Basic {
                text,
                colon: name.len(),
            })
        };
        for (name, value, expected) in [
            ("authorization", "Basic YW5hOmh1bnRlcjI=", user("ana", "hunter2")),
            ("authorization", "bAsIc  YW5hOmh1bnRlcjI", user("ana", "hunter2")),
            ("authorization", "Basic QU5BOkh1bnRlcjI=", user("ana", "Hunter2")),
            ("authorization", "Basic YW5hOmE6Yg==", user("ana", "a:b")),
            ("authorization", "Basic YW5hOg==", user("ana", "")),
            ("authorization", "Bearer clt_a-b_c", Credentials::Token("clt_a-b_c")),
            ("apikey", "clt_a", Credentials::Token("clt_a")),
            ("authorization", "bearer a.b.c", Credentials::Issued("a.b.c")),
        ] {
            let headers = headers(&[(name, value)]);
            let found = read(&headers);
            assert_eq!(found, Ok(expected), "{value}");
            if let Ok(Credentials::Password(basic)) = &found {
                assert_eq!(basic.name(), "ana");
                assert!(["hunter2", "Hunter2", "a:b", ""].contains(&basic.password()), "{value}");
            }
            let shown = format!("{found:?}");
            assert!(shown.ends_with("(***))") && shown.len() < 19, "{shown}");
        }
        assert_eq!(read(&HeaderMap::new()), Err(NO_CREDENTIALS));
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
                "The token contains a character that isn't allowed.",
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
                "The credentials are too long, or contain a character that isn't allowed.",
            ),
            (
                &[("apikey", "ä")],
                "The credentials are too long, or contain a character that isn't allowed.",
            ),
        ] {
            assert_eq!(read(&headers(pairs)), Err(sentence), "{pairs:?}");
        }
    }
}

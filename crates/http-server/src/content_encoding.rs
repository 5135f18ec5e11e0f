//! Checks the encoding of request bodies. This server decodes none.

use axum::http::{HeaderMap, header::CONTENT_ENCODING};

/// Returns true when the headers name no encoding other than `identity`.
pub fn is_identity(headers: &HeaderMap) -> bool {
    let is_identity = |value: &str| {
        value
            .split(',')
            .all(|coding| coding.trim().eq_ignore_ascii_case("identity"))
    };
    let mut values = headers.get_all(CONTENT_ENCODING).iter();
    values.all(|value| value.to_str().is_ok_and(is_identity))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header::CONTENT_ENCODING};

    use super::is_identity;

    #[test]
    fn only_identity_is_no_encoding() {
        for (values, expected) in [
            (&[][..], true),
            (&["identity"], true),
            (&["Identity, identity"], true),
            (&["gzip"], false),
            (&["identity, gzip"], false),
            (&["identity", "br"], false),
            (&["aws-chunked"], false),
            (&[""], false),
        ] {
            let values = values
                .iter()
                .map(|value| (CONTENT_ENCODING, HeaderValue::from_static(value)));
            assert_eq!(is_identity(&values.collect::<HeaderMap>()), expected);
        }
    }
}

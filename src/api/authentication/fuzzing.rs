//! Properties of credentials that hold for any input. The fuzz target calls these.

use axum::http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use super::credentials::{Credentials, read};

/// Checks that a header is read without a panic, with the same result twice, and that printing it shows no secret.
///
/// # Panics
/// When the property doesn't hold.
pub fn authorization(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let headers: HeaderMap = [(AUTHORIZATION, value)].into_iter().collect();
    let read_once = read(&headers);
    assert_eq!(read_once, read(&headers));
    if let Ok(Credentials::Password(basic)) = &read_once {
        assert!(!basic.name().is_empty() && !basic.name().contains(':'));
        let _ = basic.password();
    }
    if let Ok(Credentials::Issued(token)) = &read_once {
        let _ = jsonwebtoken::decode_header(token);
        let _ = jsonwebtoken::dangerous::insecure_decode::<serde_json::Value>(token);
    }
}

//! Properties of submissions that hold for any input. The fuzz targets call these.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    idempotency,
    parameters::{self, Parameters},
    read,
};
use clientele_domain::idempotency::Key;

/// A body is read without a panic, and the same when it is read twice.
///
/// # Panics
/// When it doesn't hold.
pub fn body(bytes: &[u8]) {
    let Ok(text) = super::body::utf8(bytes) else { return };
    let [first, second] = [(), ()].map(|()| format!("{:?}", read::submission(text)));
    assert_eq!(first, second);
}

/// Parameters are read without a panic, and the same when they are read twice.
///
/// # Panics
/// When it doesn't hold.
pub fn parameters(text: &str) {
    let [first, second] = [(), ()].map(|()| {
        let Ok(parameters) = Parameters::parse(text) else {
            return None;
        };
        let readings = (
            parameters.full_details(),
            parameters.client(),
            parameters::list(&parameters),
        );
        Some((format!("{readings:?}"), parameters))
    });
    assert_eq!(first, second);
}

/// A header's value is read without a panic; a key that can be used survives being quoted.
///
/// # Panics
/// When it doesn't hold.
pub fn idempotency_key(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let Ok(key) = idempotency::key(&HeaderMap::from_iter([(
        HeaderName::from_static("idempotency-key"),
        value,
    )])) else {
        return;
    };
    let key = key.expect("there is a header");
    if Key::parse(&key).is_ok() {
        let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
        assert_eq!(idempotency::unquoted(&quoted), Some(key));
    }
}

//! Properties of REST requests that hold for any input. The fuzz targets call these.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::{
    parameters::{self, Parameters},
    read, receipts, request,
};
use clientele_domain::idempotency::Key;

/// Checks that a body is read without a panic, with the same result twice.
///
/// # Panics
/// When the property doesn't hold.
pub fn body(bytes: &[u8]) {
    let Ok(text) = request::utf8(bytes) else { return };
    let [first, second] = [(), ()].map(|()| {
        let readings = (
            read::submission(text),
            read::patch(text),
            read::custom_field_values(text),
            read::constraints(text),
            receipts::of_json(text),
        );
        format!("{readings:?}")
    });
    assert_eq!(first, second);
}

/// Checks that parameters are read without a panic, with the same result twice.
///
/// # Panics
/// When the property doesn't hold.
pub fn parameters(text: &str) {
    let [first, second] = [(), ()].map(|()| {
        let Ok(parameters) = Parameters::parse(text) else {
            return None;
        };
        let readings = (parameters.detail(), parameters.client(), parameters::list(&parameters));
        let readings = (readings, receipts::of_form(&parameters));
        Some((format!("{readings:?}"), parameters))
    });
    assert_eq!(first, second);
}

/// Checks that a header's value is read without a panic, and that a valid key survives being quoted.
///
/// # Panics
/// When the property doesn't hold.
pub fn idempotency_key(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else {
        return;
    };
    let Ok(key) = request::idempotency_key(&HeaderMap::from_iter([(
        HeaderName::from_static("idempotency-key"),
        value,
    )])) else {
        return;
    };
    let key = key.expect("there is a header");
    if Key::parse(&key).is_ok() {
        let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
        assert_eq!(request::unquoted(&quoted), Some(key));
    }
}

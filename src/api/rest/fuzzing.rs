//! What must hold of submissions for any input: the fuzz targets call these.

use super::{
    parameters::{self, Parameters},
    read,
};

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

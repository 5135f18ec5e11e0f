//! Tests of the whole server, and the properties that property tests and fuzz targets check.

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
#[cfg(test)]
mod server;

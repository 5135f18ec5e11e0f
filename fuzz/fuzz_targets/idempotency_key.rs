//! Values of the header `Idempotency-Key`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| clientele::api::rest::fuzzing::idempotency_key(bytes));

//! Bodies of `POST /api/clients`.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| clientele::api::rest::fuzzing::body(body));

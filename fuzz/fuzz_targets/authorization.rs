//! Authorization headers, and issued tokens in them.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &[u8]| clientele::api::authentication::fuzzing::authorization(header));

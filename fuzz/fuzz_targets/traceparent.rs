//! The header that names a caller's span.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &[u8]| clientele::server::fuzzing::traceparent(header));

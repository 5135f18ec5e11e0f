//! Headers in which proxies report a request's origin.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &[u8]| clientele::server::fuzzing::forwarded(header));

//! Headers in which proxies say where a request came from.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|header: &[u8]| clientele::server::fuzzing::forwarded(header));

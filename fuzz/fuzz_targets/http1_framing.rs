//! Bytes of an HTTP/1 connection: the framing check and hyper must see the same requests.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    clientele::server::fuzzing::framing(bytes);
});

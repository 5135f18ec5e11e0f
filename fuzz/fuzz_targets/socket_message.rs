//! Messages of callers on WebSockets.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| clientele::api::graphql::fuzzing::socket_message(text));

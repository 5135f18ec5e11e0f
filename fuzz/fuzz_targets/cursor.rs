//! Cursors that callers send back.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| clientele::client::fuzzing::cursor(text));

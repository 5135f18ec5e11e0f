//! Filters of a list of clients, as JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &str| clientele::client::fuzzing::filter(json));

//! Query strings and forms of the legacy route.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| clientele::api::rest::fuzzing::parameters(text));

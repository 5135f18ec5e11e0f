//! Responses of an SMS gateway.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| clientele::delivery::channel::fuzzing::gateway_answer(input));

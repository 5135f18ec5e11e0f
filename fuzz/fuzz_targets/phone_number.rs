//! Phone numbers in any notation.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| clientele::delivery::channel::fuzzing::phone_number(input));

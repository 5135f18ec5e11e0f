//! Reports of mail servers about messages.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| clientele::delivery::report::fuzzing::report(input));

//! The answer of a telemetry collector to an export.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|answer: &[u8]| clientele::telemetry::fuzzing::collector_answer(answer));

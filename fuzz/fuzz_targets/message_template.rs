//! The texts of a message template, with values.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| clientele::notify::render::model::message_template(input));

//! Positions of the change feed that callers send back.

#![no_main]

use clientele::changes::Position;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(position) = Position::parse(text) {
        assert_eq!(position.to_string(), text);
    }
});

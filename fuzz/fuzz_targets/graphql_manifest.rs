//! Manifests of trusted documents.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| clientele::api::graphql::fuzzing::manifest(text));

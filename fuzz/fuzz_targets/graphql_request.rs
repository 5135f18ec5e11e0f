//! Bodies of GraphQL requests: one or several, with documents or their names.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| clientele::api::graphql::fuzzing::request(body));

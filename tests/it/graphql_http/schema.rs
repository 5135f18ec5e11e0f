//! The committed schema equals the served one.

use std::{fs, path::Path};

#[test]
fn committed_schema_is_the_served_schema() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.graphql");
    let schema = clientele::api::graphql::sdl();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(&file, &schema).expect("the schema file can be written");
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == schema,
        "schema.graphql is out of date: run UPDATE_SCHEMA=1 bin/test schema, and read the difference"
    );
}

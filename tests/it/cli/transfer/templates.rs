//! Templates of exports from before their texts were checked for misspelt placeholders.

use serde_json::json;

use super::{database_key, empty, file, read, run, run_under, summary};
use crate::harness::{TestServer, graphql::define_template, program::directory};

on_both!(misspelt_placeholder_of_an_export_is_kept);

async fn misspelt_placeholder_of_an_export_is_kept(server: &TestServer) {
    let template = json!({ "templateId": "t", "name": "T", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "variants": [{ "language": "ENGLISH", "subject": "S", "text": "T {CLIENT_NAME}" }] });
    define_template(server, template).await;
    let source = directory();
    assert_eq!(run(&source, &server.database_url(), &["export", "a"]).2, Some(0));
    let export = read(&source, "a").replace("T {CLIENT_NAME}", "T {client_name}");
    let target = directory();
    let url = empty(&target);
    let new = export.replacen("\"stored\":true", "\"stored\":false", 1);
    file(&target, "new", new);
    let (_, sentence, code) = run(&target, &url, &["import", "new"]);
    assert!(sentence.contains("is refused"), "{sentence}");
    assert_eq!(code, Some(1));
    file(&target, "stored", &export);
    let key = database_key(server).await;
    let imported = run_under(&target, &url, &key, &["import", "stored"]);
    assert_eq!(imported, (summary(0, 0, 0), String::new(), Some(0)));
    assert_eq!(run(&target, &url, &["export", "b"]).2, Some(0));
    assert!(read(&target, "b").contains("T {client_name}"));
}

//! The limit of active templates per event and channel.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{UPSERT, refused, upsert};
use crate::harness::{TestServer, graphql::data};

const MOST: usize = 20;

fn template(number: usize, changes: Value) -> Value {
    let template = json!({ "templateId": format!("t{number}"), "name": "T", "event": "CLIENT_CREATED", "channel": "SMS",
        "variants": [{ "language": "ENGLISH", "text": "Hello" }] });
    crate::harness::with(template, changes)
}

async fn fill(server: &TestServer, count: usize) {
    for number in 0..count {
        upsert(server, template(number, json!({}))).await;
    }
}

const FULL: &str = "20 templates of the event CLIENT_CREATED and the channel SMS are active, and at most 20 can be: \
                    deactivate or delete one, or store this one with active: false.";

on_both!(
    active_template_beyond_limit_is_refused,
    templates_stored_beyond_limit_go_on,
    concurrent_templates_do_not_exceed_limit,
);

async fn active_template_beyond_limit_is_refused(server: &TestServer) {
    fill(server, MOST).await;
    let too_many = [("TOO_MANY", "active")];
    assert_eq!(refused(server, template(20, json!({})), &too_many).await, [FULL]);
    // Other events and channels have room of their own, and a template that is not active needs none.
    upsert(server, template(20, json!({ "active": false }))).await;
    upsert(server, template(21, json!({ "event": "CLIENT_UPDATED" }))).await;
    let email = json!([{ "language": "ENGLISH", "subject": "Hello", "text": "Hello" }]);
    upsert(server, template(22, json!({ "channel": "EMAIL", "variants": email }))).await;
    let id =
        |number: usize, changes: Value| crate::harness::with(json!({ "templateId": format!("t{number}") }), changes);
    assert_eq!(
        refused(server, id(20, json!({ "active": true })), &too_many).await,
        [FULL]
    );
    assert_eq!(
        refused(server, id(21, json!({ "event": "CLIENT_CREATED" })), &too_many).await,
        [FULL]
    );
    // Those that are active may be changed, and make room.
    upsert(server, id(0, json!({ "name": "Other", "active": true }))).await;
    upsert(server, id(0, json!({ "active": false }))).await;
    upsert(server, id(20, json!({ "active": true }))).await;
}

async fn templates_stored_beyond_limit_go_on(server: &TestServer) {
    fill(server, MOST).await;
    for number in [20, 21] {
        upsert(server, template(number, json!({ "active": false }))).await;
    }
    server
        .write("UPDATE message_template SET active = TRUE")
        .await
        .expect("an update");
    server
        .write("UPDATE definition_version SET version = version + 1")
        .await
        .expect("an update");
    upsert(server, json!({ "templateId": "t21", "name": "Other" })).await;
    let client = json!({ "client": { "firstName": "Ana", "lastName": "Bo", "mobilePhone1": "+15550001" } });
    crate::harness::graphql::store(server, client, "version").await;
    let count = data(server, "{ messages { totalCount } }", json!({})).await;
    assert_eq!(count, json!({ "messages": { "totalCount": 22 } }));
    upsert(server, json!({ "templateId": "t0", "active": false })).await;
    let messages = refused(
        server,
        json!({ "templateId": "t0", "active": true }),
        &[("TOO_MANY", "active")],
    )
    .await;
    assert_eq!(messages, [FULL.replacen("20", "21", 1)]);
}

async fn concurrent_templates_do_not_exceed_limit(server: &TestServer) {
    fill(server, MOST - 1).await;
    let stored = join_all((MOST..MOST + 4).map(|number| async move {
        let input = json!({ "input": template(number, json!({})) });
        let answer = data(server, UPSERT, input).await;
        answer["upsertMessageTemplate"]["userErrors"] == json!([])
    }))
    .await;
    assert_eq!(stored.into_iter().filter(|stored| *stored).count(), 1);
}

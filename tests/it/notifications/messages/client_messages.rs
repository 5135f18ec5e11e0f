//! Messages below clients: of one client, of a page of clients, and of linked clients.

use serde_json::{Value, json};

use super::{each, reachable, refused, statements, templates};
use crate::harness::{
    TestServer,
    graphql::{data, define, store},
};

/// Clients `c0`, `c1`… Each has one message more than the previous one, and links to it.
async fn clients(server: &TestServer, count: usize) {
    templates(server).await;
    define(
        server,
        "facts",
        json!([{ "fieldId": "next", "name": "Next", "type": "CLIENT_LINK" }]),
    )
    .await;
    let mut before = None;
    for number in 0..count {
        let key = reachable(server, &format!("c{number}")).await;
        for change in 0..number {
            let links: Value = before
                .iter()
                .map(|key| json!({ "fieldId": "next", "linkedKey": key }))
                .collect();
            let input =
                json!({ "client": { "encodedKey": key, "notes": change.to_string() }, "customInformation": links });
            store(server, input, "version").await;
        }
        before = Some(key);
    }
}

const PAGE: &str = "query($id: String!, $first: Int, $after: String, $last: Int, $before: String) { client(by: { \
    clientId: $id }) {
    messages(first: $first, after: $after, last: $last, before: $before) {
        edges { cursor } nodes { templateId } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } \
        totalCount } } }";

on_both!(
    messages_of_a_client_come_in_pages,
    messages_of_many_clients_take_one_statement_per_field,
    invalid_nested_page_prevents_the_mutation,
    mutation_payload_has_the_messages_it_queued,
    nested_pages_are_priced_by_their_sizes,
);

async fn messages_of_a_client_come_in_pages(server: &TestServer) {
    clients(server, 4).await;
    let page = async |variables: Value| data(server, PAGE, variables).await["client"]["messages"].take();
    let first = page(json!({ "id": "c3", "first": 3 })).await;
    assert_eq!(each(&first["nodes"], "/templateId"), ["changed"; 3]);
    assert_eq!(
        (&first["totalCount"], &first["pageInfo"]["hasNextPage"]),
        (&json!(4), &json!(true))
    );
    let rest = page(json!({ "id": "c3", "first": 3, "after": first["pageInfo"]["endCursor"] })).await;
    assert_eq!(each(&rest["nodes"], "/templateId"), ["welcome"]);
    assert_eq!(
        (&rest["pageInfo"]["hasNextPage"], &rest["pageInfo"]["hasPreviousPage"]),
        (&json!(false), &json!(true))
    );
    let last = page(json!({ "id": "c3", "last": 3 })).await;
    assert_eq!(each(&last["nodes"], "/templateId"), ["changed", "changed", "welcome"]);
    assert_eq!(
        (&last["pageInfo"]["hasNextPage"], &last["pageInfo"]["hasPreviousPage"]),
        (&json!(false), &json!(true))
    );
    let start = page(json!({ "id": "c3", "last": 3, "before": last["pageInfo"]["startCursor"] })).await;
    assert_eq!(each(&start["edges"], "/cursor"), each(&first["edges"], "/cursor")[..1]);
    assert_eq!(
        page(json!({ "id": "c3", "first": 0 })).await["pageInfo"],
        json!({ "hasNextPage": true, "hasPreviousPage": false, "startCursor": null, "endCursor": null })
    );
}

async fn messages_of_many_clients_take_one_statement_per_field(server: &TestServer) {
    clients(server, 12).await;
    let linked = "customInformation { linkedClient { clientId a: messages(first: 2) { nodes { text } } messages { \
        totalCount } } }";
    for (selection, count) in [
        ("messages(first: 2) { nodes { text } totalCount }", 2),
        ("messages { totalCount }", 2),
        (
            "a: messages(first: 2) { nodes { id } } b: messages(first: 2) { edges { cursor } totalCount } \
                messages(last: 1) { pageInfo { endCursor } }",
            3,
        ),
        ("messages(first: 1) { nodes { client { clientId } } }", 3),
        // The clients, their messages, the linked ones, and these ones' messages, in two windows.
        (&format!("messages(first: 1) {{ nodes {{ id }} }} {linked}"), 5),
    ] {
        let query = format!("query($first: Int) {{ clients(first: $first) {{ nodes {{ {selection} }} }} }}");
        let small = statements(server, &query, json!({ "first": 2 })).await;
        let large = statements(server, &query, json!({ "first": 12 })).await;
        assert_eq!(large.len(), count, "{selection}\n{large:#?}");
        assert_eq!(small.len(), large.len());
        // By their ids, one by one, they are loaded together as well.
        let ids = data(server, "{ clients { nodes { id } } }", json!({})).await;
        let query = format!("query($ids: [ID!]!) {{ nodes(ids: $ids) {{ ... on Client {{ {selection} }} }} }}");
        let nodes = statements(server, &query, json!({ "ids": each(&ids["clients"]["nodes"], "/id") })).await;
        assert_eq!(nodes.len(), count, "{selection}\n{nodes:#?}");
    }
    let query = "{ clients { nodes { messages(first: 2) { nodes { templateId client { clientId } } totalCount pageInfo \
        { hasNextPage } } } } }";
    let found = data(server, query, json!({})).await;
    for (number, client) in found["clients"]["nodes"].as_array().expect("a list").iter().enumerate() {
        let messages = &client["messages"];
        assert_eq!(messages["totalCount"], number + 1);
        assert_eq!(messages["pageInfo"]["hasNextPage"], number > 1);
        let mine = json!({ "clientId": format!("c{number}") });
        let expected: Vec<Value> = ["changed", "changed", "welcome"][(2 - number.min(2))..]
            .iter()
            .take(2)
            .map(|id| json!({ "templateId": id, "client": mine }))
            .collect();
        assert_eq!(messages["nodes"], json!(expected));
    }
}

async fn invalid_nested_page_prevents_the_mutation(server: &TestServer) {
    clients(server, 1).await;
    for (arguments, sentence) in [
        ("first: -1", "`messages.first` must be from 0 to 500."),
        ("last: -1", "`messages.last` must be from 0 to 500."),
        (
            "first: 1, last: 1",
            "Ask for the first or the last messages, not for both.",
        ),
        (
            "after: \"x\"",
            "`messages.after`: This isn't a cursor of this list in this order: send one that a page has given you.",
        ),
    ] {
        let messages = format!("messages({arguments}) {{ nodes {{ id }} }}");
        let links = format!("customInformation {{ linkedClient {{ {messages} }} }}");
        let owner = format!("messages(first: 2) {{ nodes {{ client {{ {messages} }} }} }}");
        for selection in [&messages, &links, &owner] {
            let query = format!("{{ clients(first: 1) {{ nodes {{ {selection} }} }} }}");
            assert_eq!(refused(server, &query, json!({})).await, sentence);
        }
        let before = server.snapshot().await;
        let mutation = format!(
            "mutation {{ upsertClient(input: {{ client: {{ firstName: \"N\", lastName: \"N\" }} }}) {{ client {{ \
                {links} }} }} }}"
        );
        assert_eq!(refused(server, &mutation, json!({})).await, sentence);
        assert_eq!(server.snapshot().await, before);
    }
    // Below a link a page of this size costs too much.
    let messages = "messages(first: 501) { nodes { id } }";
    for selection in [
        messages,
        &format!("messages(first: 2) {{ nodes {{ client {{ {messages} }} }} }}"),
    ] {
        let query = format!("{{ clients(first: 1) {{ nodes {{ {selection} }} }} }}");
        assert_eq!(
            refused(server, &query, json!({})).await,
            "`messages.first` must be from 0 to 500."
        );
    }
}

async fn mutation_payload_has_the_messages_it_queued(server: &TestServer) {
    clients(server, 1).await;
    let input = json!({ "client": { "firstName": "N", "lastName": "N", "emailAddress": "n@example.test" } });
    let client = store(server, input, "messages { nodes { text state client { lastName } } }").await;
    assert_eq!(
        client["messages"]["nodes"],
        json!([{ "text": "welcome: N N", "state": "QUEUED", "client": { "lastName": "N" } }])
    );
}

async fn nested_pages_are_priced_by_their_sizes(server: &TestServer) {
    let query = "query($clients: Int, $messages: Int) { clients(first: $clients) { nodes { messages(first: $messages) \
        { nodes { text } } } } }";
    data(server, query, json!({ "clients": 100, "messages": 100 })).await;
    let answer = server.graphql(query, json!({ "clients": 500, "messages": 100 })).await;
    assert_eq!(
        answer.body["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX",
        "{}",
        answer.text
    );
    let default = "{ clients(first: 500) { nodes { messages { pageInfo { startCursor endCursor hasNextPage } } } } }";
    let answer = server.graphql(default, json!({})).await;
    assert_eq!(
        answer.body["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX",
        "{}",
        answer.text
    );
}

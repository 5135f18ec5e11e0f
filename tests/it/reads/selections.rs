//! Random selections of a client get the answer of a plain interpreter, including the order of fields.

mod generator;
mod interpreter;

use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use self::{generator::Generator, interpreter::Types};
use crate::{
    harness::{
        Settings, TestServer,
        graphql::{data, define, store},
    },
    notifications::messages::templates,
};

/// The depth of selections, and of the complete answer.
const DEPTH: usize = 5;
const CASES: u64 = 400;

on_both!(random_selections_match_the_specification);

async fn random_selections_match_the_specification(server: &TestServer) {
    // The complete answer costs more than the default allows.
    let mut settings = Settings::default();
    settings.doors.graphql.complexity = 100_000;
    let roomy = server.another(settings).await;
    let server = &roomy;
    let keys = three_linked_clients(server).await;
    let types = Types::load(server).await;
    let client = |selection: &str| format!("client(by: {{ encodedKey: \"{}\" }}) {selection}", keys[0]);
    let whole = data(
        server,
        &format!("{{ {} }}", client(&types.everything("Client", DEPTH))),
        json!({}),
    )
    .await;
    let whole = &whole["client"];
    assert!(whole["messages"]["edges"][0]["node"]["subject"].is_string());
    assert!(whole["customInformation"][0]["linkedClient"]["customInformation"][0]["linkedKey"].is_string());
    for case in 0..CASES {
        let mut generator = Generator::new(&types, StdRng::seed_from_u64(case));
        let selection = generator.selection("Client", DEPTH);
        let document = generator.document(&client(&selection.to_string()));
        let answer = server.graphql(&document, json!({ "yes": true, "no": false })).await;
        let expected = types.answer(whole, "Client", &selection.0, &generator.fragments);
        assert_eq!(
            answer.text,
            format!("{{\"data\":{{\"client\":{expected}}}}}"),
            "case {case}:\n{document}"
        );
    }
    roomy.stop().await;
}

/// Clients with everything, each of which links to the next, and the last to the first.
async fn three_linked_clients(server: &TestServer) -> Vec<String> {
    define(
        server,
        "facts",
        json!([{ "fieldId": "next", "name": "Next", "type": "CLIENT_LINK" },
        { "fieldId": "size", "name": "Size", "type": "SELECTION", "options": [{ "value": "S" }, { "value": "L" }] }]),
    )
    .await;
    define(
        server,
        "more",
        json!([{ "fieldId": "age", "name": "Age", "type": "NUMBER" },
        { "fieldId": "on", "name": "On", "type": "CHECKBOX" }, { "fieldId": "day", "name": "Day", "type": "DATE" }]),
    )
    .await;
    templates(server).await;
    let mut keys: Vec<String> = Vec::new();
    for name in ["A", "B\"\u{1f600}\u{feff}", "C"] {
        let input = json!({ "client": { "firstName": name, "lastName": "\\é\u{2028}", "birthDate": "1990-04-17",
            "emailAddress": "a@example.test", "mobilePhone1": "+44 7700 900123" },
            "addresses": [{ "line1": "1", "latitude": 1.5 }],
                "idDocuments": [{ "documentType": "T", "documentId": "1" },
                    { "documentType": "U", "documentId": "2" }] });
        let stored = store(server, input, "encodedKey").await;
        keys.push(stored["encodedKey"].as_str().expect("a key").to_owned());
    }
    for (key, next) in keys.iter().zip(keys.iter().cycle().skip(1)) {
        let values: Value = json!([{ "fieldId": "next", "linkedKey": next }, { "fieldId": "age", "value": "12.50" },
            { "fieldId": "size", "value": "L" }, { "fieldId": "on", "value": "TRUE" },
                { "fieldId": "day", "value": "2024-02-29" }]);
        store(
            server,
            json!({ "client": { "encodedKey": key }, "customInformation": values }),
            "version",
        )
        .await;
    }
    keys
}

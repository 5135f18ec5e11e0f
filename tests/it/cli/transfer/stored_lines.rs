//! Lines of a file with `"stored":true` that have values which no client can have.

use serde_json::{Value, json};

use super::{entry, file, read, run, summary_without};
use crate::harness::{
    TestServer,
    graphql::{data, define},
    program::directory,
};

on_both!(
    character_that_no_database_takes_is_refused,
    value_that_no_definition_has_allowed_is_refused,
    value_of_an_earlier_definition_is_stored,
    version_has_a_limit,
    client_with_the_last_version_stays_as_it_is,
);

fn client(key: &str) -> Value {
    json!({ "encodedKey": key, "clientId": key, "firstName": "Amara", "lastName": "B" })
}

/// The line of a client with these values.
fn with(key: &str, values: Value) -> Value {
    json!({ "client": client(key), "customInformation": values })
}

/// An export of these lines.
fn export(clients: &[Value]) -> String {
    let first = json!({ "format": "clientele", "version": 1, "stored": true });
    let last = json!({ "end": { "clients": clients.len() } });
    let all = [&first].into_iter().chain(clients).chain([&last]);
    all.map(|line| format!("{line}\n")).collect()
}

/// Imports a good client and these lines, each of which is refused for the one reason.
async fn refuses(server: &TestServer, refused: &[(Value, &str, &str, &str)]) {
    let (directory, url) = (directory(), server.database_url());
    let mut lines: Vec<Value> = refused.iter().map(|(line, ..)| line.clone()).collect();
    lines.push(json!({ "client": client("good") }));
    file(&directory, "in", export(&lines));
    let arguments = ["import", "in", "--report", "report"];
    let (output, error, status) = run(&directory, &url, &arguments);
    let count = refused.len();
    let sentence = format!("clientele: lines that were refused: {count}. Correct them and run the import again\n");
    assert_eq!((error, status), (sentence, Some(1)));
    assert_eq!(output, summary_without(1, 1, 0, count));
    let mut entries: Vec<Value> = read(&directory, "report")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    entries.sort_by_key(|entry| entry["line"].as_u64());
    let expected = refused.iter().zip(2..).map(|((line, code, path, message), number)| {
        let names = ["encodedKey", "clientId"].map(|name| &line["client"][name]);
        let key = names.into_iter().find(|key| *key != "\0");
        entry(number, code, path, message, key.cloned().unwrap_or_default())
    });
    assert_eq!(entries, expected.collect::<Vec<_>>());
    let stored = data(server, "{ clients(first: 5) { nodes { clientId } } }", json!({})).await;
    assert_eq!(stored["clients"]["nodes"], json!([{ "clientId": "good" }]));
}

async fn define_fields(server: &TestServer) {
    let fields = json!([
        { "fieldId": "text", "name": "Text", "type": "TEXT", "unique": true },
        { "fieldId": "long", "name": "Long", "type": "LONG_TEXT" },
        { "fieldId": "number", "name": "Number", "type": "NUMBER" },
        { "fieldId": "flag", "name": "Flag", "type": "CHECKBOX" },
        { "fieldId": "day", "name": "Day", "type": "DATE" },
        { "fieldId": "band", "name": "Band", "type": "SELECTION", "options": [{ "value": "LOW" }] },
        { "fieldId": "boss", "name": "Boss", "type": "CLIENT_LINK" },
        { "fieldId": "team", "name": "Team", "type": "GROUP_LINK" },
    ]);
    define(server, "facts", fields).await;
    let query = "mutation { upsertCustomFieldSet(input: { set: { setId: \"cards\", name: \"Cards\", usage: GROUPED },
        fields: [{ fieldId: \"card\", name: \"Card\", type: TEXT }] }) { userErrors { code } } }";
    let defined = data(server, query, json!({})).await;
    assert_eq!(defined["upsertCustomFieldSet"]["userErrors"], json!([]));
}

async fn character_that_no_database_takes_is_refused(server: &TestServer) {
    define_fields(server).await;
    let code = "INVALID_CHARACTER";
    let value = |member: &str| format!("{member} must not contain the character U+0000.");
    let mut keyed = json!({ "client": client("k4") });
    keyed["client"]["encodedKey"] = json!("\0");
    let mut named = json!({ "client": client("k5") });
    named["client"]["notes"] = json!("\0");
    refuses(
        server,
        &[
            (
                with("k1", json!([{ "fieldId": "text", "value": "a\0b" }])),
                code,
                "customInformation.0.value",
                &value("value"),
            ),
            (
                with("k2", json!([{ "fieldId": "team", "linkedKey": "a\0b" }])),
                code,
                "customInformation.0.linkedKey",
                &value("linkedKey"),
            ),
            (
                with("k3", json!([{ "fieldId": "te\0xt", "value": "a" }])),
                code,
                "customInformation.0.fieldId",
                &value("fieldId"),
            ),
            (keyed, code, "client.encodedKey", &value("encodedKey")),
            (named, code, "client.notes", &value("notes")),
        ],
    )
    .await;
}

async fn value_that_no_definition_has_allowed_is_refused(server: &TestServer) {
    define_fields(server).await;
    let one = |key: &str, field: &str, value: &str| with(key, json!([{ "fieldId": field, "value": value }]));
    let link = |key: &str, field: &str, value: &str| with(key, json!([{ "fieldId": field, "linkedKey": value }]));
    let cards = |key: &str, indexes: &[i32]| {
        let cards = indexes
            .iter()
            .map(|index| json!({ "fieldId": "card", "groupIndex": index, "value": "a" }));
        with(key, cards.collect())
    };
    let value = "customInformation.0.value";
    let linked = "customInformation.0.linkedKey";
    let number = "The field number takes a decimal number of up to 30 digits.";
    let gap = |next: usize| format!("The groups of the set cards must have the indexes 0, 1, 2…: {next} is missing.");
    refuses(
        server,
        &[
            (one("k1", "number", "abc"), "NOT_A_NUMBER", value, number),
            (one("k2", "number", "NaN"), "NOT_A_NUMBER", value, number),
            (one("k3", "number", &"7".repeat(31)), "NOT_A_NUMBER", value, number),
            (
                one("k4", "day", "nope"),
                "NOT_A_DATE",
                value,
                "The field day takes a date of the form YYYY-MM-DD.",
            ),
            (
                one("k5", "flag", "maybe"),
                "NOT_A_CHECKBOX",
                value,
                "The field flag takes TRUE or FALSE.",
            ),
            (
                one("k6", "text", &"é".repeat(256)),
                "TOO_LONG",
                value,
                "The field text takes at most 255 characters.",
            ),
            (
                one("k7", "long", &"é".repeat(2_049)),
                "TOO_LONG",
                value,
                "The field long takes at most 2048 characters.",
            ),
            (
                one("k8", "band", &"é".repeat(256)),
                "TOO_LONG",
                value,
                "The field band takes at most 255 characters.",
            ),
            (
                one("k9", "text", "a\nb"),
                "INVALID_CHARACTER",
                value,
                "The field text must not contain the character U+000A.",
            ),
            (
                link("kA", "boss", &"a".repeat(33)),
                "INVALID",
                linked,
                "The field boss takes a key of 1 to 32 letters and digits.",
            ),
            (
                link("kB", "team", &"a".repeat(100_000)),
                "INVALID",
                linked,
                "The field team takes a key of 1 to 32 letters and digits.",
            ),
            (
                one("kC", "boss", "good"),
                "INVALID",
                value,
                "The field boss is of type CLIENT_LINK: send linkedKey, not value.",
            ),
            (
                link("kD", "text", "good"),
                "INVALID",
                linked,
                "The field text is of type TEXT: send value, not linkedKey.",
            ),
            (
                one("kE", "text", ""),
                "BLANK",
                value,
                "The field text has no value: send value.",
            ),
            (
                one("kF", "card", "a"),
                "GROUP_INDEX",
                "customInformation.0.groupIndex",
                "The set of card is grouped: send groupIndex.",
            ),
            (
                with("kG", json!([{ "fieldId": "text", "groupIndex": 0, "value": "a" }])),
                "GROUP_INDEX",
                "customInformation.0.groupIndex",
                "The set of text isn't grouped: leave groupIndex out.",
            ),
            (
                cards("kH", &[-2, 0]),
                "GROUP_GAP",
                "customInformation.0.groupIndex",
                &gap(0),
            ),
            (
                cards("kI", &[0, 2]),
                "GROUP_GAP",
                "customInformation.1.groupIndex",
                &gap(1),
            ),
        ],
    )
    .await;
}

async fn value_of_an_earlier_definition_is_stored(server: &TestServer) {
    define(
        server,
        "facts",
        json!([
            { "fieldId": "text", "name": "Text", "type": "TEXT", "pattern": "##", "maxLength": 2 },
            { "fieldId": "long", "name": "Long", "type": "LONG_TEXT", "maxLength": 2 },
            { "fieldId": "number", "name": "Number", "type": "NUMBER", "state": "DEACTIVATED" },
            { "fieldId": "band", "name": "Band", "type": "SELECTION", "options": [{ "value": "LOW" }] },
            { "fieldId": "boss", "name": "Boss", "type": "CLIENT_LINK" },
        ]),
    )
    .await;
    let long = "é\n".repeat(1_024);
    let values = json!([
        { "fieldId": "text", "value": "é".repeat(255) },
        { "fieldId": "long", "value": long },
        { "fieldId": "number", "value": "7".repeat(30) },
        { "fieldId": "band", "value": "GONE" },
        { "fieldId": "boss", "linkedKey": "erased" },
    ]);
    let (directory, url) = (directory(), server.database_url());
    file(&directory, "in", export(&[with("k1", values.clone())]));
    let stored = (summary_without(1, 1, 0, 0), String::new(), Some(0));
    assert_eq!(run(&directory, &url, &["import", "in"]), stored);
    let (exported, ..) = run(&directory, &url, &["export"]);
    let line = exported.lines().find(|line| line.contains("\"client\":{"));
    let line: Value = serde_json::from_str(line.expect("a client")).expect("JSON");
    let found = line["customInformation"].as_array().into_iter().flatten().map(|value| {
        let mut value = value.clone();
        value.as_object_mut().expect("an object").remove("encodedKey");
        value
    });
    assert_eq!(Value::from_iter(found), values);
}

async fn version_has_a_limit(server: &TestServer) {
    let of = |key: &str, version: i64| {
        let mut line = json!({ "client": client(key) });
        line["client"]["version"] = version.into();
        line
    };
    let refused = (
        of("k1", 2_000_000_001),
        "MALFORMED",
        "client.version",
        "version must be from 1 to 2000000000.",
    );
    refuses(server, &[refused]).await;
    let (directory, url) = (directory(), server.database_url());
    file(&directory, "last", export(&[of("k2", 2_000_000_000)]));
    let stored = (summary_without(1, 1, 0, 0), String::new(), Some(0));
    assert_eq!(run(&directory, &url, &["import", "last"]), stored);
}

async fn client_with_the_last_version_stays_as_it_is(server: &TestServer) {
    let (directory, url) = (directory(), server.database_url());
    let mut lines = ["k1", "k2", "k3"].map(|key| json!({ "client": client(key) }));
    lines[0]["client"]["version"] = json!(1_999_999_999);
    file(&directory, "in", export(&lines));
    assert_eq!(run(&directory, &url, &["import", "in"]).2, Some(0));
    let upsert = "mutation($notes: String) { upsertClient(input: { client: { encodedKey: \"k1\", notes: $notes } }) {
        client { version } userErrors { code path message } } }";
    let changed = data(server, upsert, json!({ "notes": "a" })).await;
    let expected = json!({ "client": { "version": 2_000_000_000 }, "userErrors": [] });
    assert_eq!(changed["upsertClient"], expected);
    let merge = |from: &str, into: &str| {
        format!(
            "mutation {{ mergeClients(input: {{ from: {{ encodedKey: \"{from}\" }}, into: {{ encodedKey: \"{into}\" }},
                reason: \"a\", fields: [NOTES] }}) {{ userErrors {{ code path }} }} }}"
        )
    };
    let before = server.snapshot().await;
    let refused = data(server, upsert, json!({ "notes": "b" })).await;
    let message = "The client has the last version, 2000000000: it can't be changed any more.";
    let expected = json!({ "client": null,
        "userErrors": [{ "code": "TOO_MANY", "path": ["input", "client"], "message": message }] });
    assert_eq!(refused["upsertClient"], expected);
    for (from, into, path) in [("k1", "k2", "from"), ("k2", "k1", "into")] {
        let refused = data(server, &merge(from, into), json!({})).await;
        let expected = json!([{ "code": "TOO_MANY", "path": ["input", path] }]);
        assert_eq!(refused["mergeClients"]["userErrors"], expected, "{path}");
    }
    assert_eq!(server.snapshot().await, before);
    // It doesn't keep a client that it was merged into from being removed, and can be removed itself.
    let merged = "UPDATE client SET merged_into_key = 'k3', state = 'EXITED' WHERE encoded_key = 'k1'";
    server.write(merged).await.expect("a sound statement");
    for key in ["k3", "k1"] {
        let delete = format!(
            "mutation {{ deleteClient(input: {{ by: {{ encodedKey: \"{key}\" }} }}) {{ userErrors {{ code }} }} }}"
        );
        let deleted = data(server, &delete, json!({})).await;
        assert_eq!(deleted["deleteClient"]["userErrors"], json!([]), "{key}");
        if key == "k3" {
            let query = "{ client(by: { encodedKey: \"k1\" }) { version mergedInto { encodedKey } } }";
            let found = data(server, query, json!({})).await;
            assert_eq!(found["client"], json!({ "version": 2_000_000_000, "mergedInto": null }));
        }
    }
}

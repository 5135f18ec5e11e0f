//! Duplicate checks: which clients match, and what errors and warnings say, through both APIs.

mod races;

use clientele::{
    caller::{Limit, Permission, Rights},
    client::{CheckLevel, ClientSettings, DuplicateChecks},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    audit::erase,
    harness::{
        Answer, Settings, TestServer,
        graphql::{data, store_key},
        with,
    },
};

const UPSERT: &str = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { created client { clientId }
    warnings { code message path clientCount clientIds } userErrors { code message path clientCount clientIds } } }";

on_both!(
    nothing_is_checked_by_default,
    equal_values_are_found_however_they_are_written,
    other_values_are_no_duplicates,
    warnings_store_the_client,
    only_changed_members_are_checked,
    matches_are_named_to_callers_who_may_view_clients,
    at_most_100_matches_are_counted,
    erased_and_merged_clients_do_not_match,
    exited_clients_match,
    client_whose_merge_is_undone_is_checked,
    matches_beyond_the_callers_limits_hide_no_others,
    many_matches_beyond_the_callers_limits_are_examined,
    legacy_api_refuses_last_and_ignores_warnings,
    lists_are_checked_client_by_client,
    checked_input_shows_errors_and_warnings,
    repeated_request_is_not_checked_again,
    checks_of_a_client_take_one_statement_and_no_scan,
);

/// All checks with this effect.
pub fn checks(level: CheckLevel) -> DuplicateChecks {
    DuplicateChecks {
        document: level,
        home_phone: level,
        mobile_phone: level,
        email_address: level,
        names: level,
        last_name_and_birth_date: level,
    }
}

/// Another server on the same database, with these checks.
pub async fn checking(server: &TestServer, duplicates: DuplicateChecks) -> TestServer {
    let clients = ClientSettings {
        duplicates,
        ..ClientSettings::default()
    };
    let settings = Settings {
        clients,
        ..Settings::default()
    };
    server.another(settings).await
}

/// Another server on the same database, which refuses a second client with an e-mail address.
async fn checking_emails(server: &TestServer) -> TestServer {
    let emails = DuplicateChecks {
        email_address: CheckLevel::Error,
        ..Default::default()
    };
    checking(server, emails).await
}

pub async fn upsert(server: &TestServer, input: Value) -> Answer {
    server.graphql(UPSERT, json!({ "input": input })).await
}

/// The path, count and ids of each entry.
fn shown(answer: &Answer, list: &str) -> Vec<String> {
    let entries = answer.body["data"]["upsertClient"][list].as_array();
    let entries = entries.unwrap_or_else(|| panic!("{}", answer.text)).iter();
    let text = |entry: &Value| {
        assert_eq!(entry["code"], "DUPLICATE_CLIENT", "{}", answer.text);
        let path = entry["path"].as_array().expect("a list").iter().skip(1);
        let path: Vec<&str> = path.map(|step| step.as_str().expect("a text")).collect();
        format!("{} {} {}", path.join("."), entry["clientCount"], entry["clientIds"])
    };
    entries.map(text).collect()
}

/// A client with a value for every check.
fn ines() -> Value {
    json!({ "client": { "clientId": "INES", "firstName": "Inés", "lastName": "O’Brien", "birthDate": "1990-04-17",
        "emailAddress": "Ines@Example.test", "homePhone": "+47 900 00-123", "mobilePhone1": "1 234",
        "mobilePhone2": "5 678" },
        "idDocuments": [{ "documentType": "Passport", "documentId": "AB 12-3" }] })
}

fn someone(members: Value) -> Value {
    json!({ "client": with(json!({ "firstName": "Bela", "lastName": "Bellweather" }), members) })
}

async fn nothing_is_checked_by_default(server: &TestServer) {
    store_key(server, ines()).await;
    let twice = with(
        ines(),
        json!({ "client": with(ines()["client"].clone(), json!({ "clientId": "B" })) }),
    );
    let answer = upsert(server, twice).await;
    assert_eq!(answer.body["data"]["upsertClient"]["created"], true, "{}", answer.text);
    assert_eq!(shown(&answer, "warnings"), [""; 0]);
}

async fn equal_values_are_found_however_they_are_written(server: &TestServer) {
    store_key(server, ines()).await;
    let strict = checking(server, checks(CheckLevel::Error)).await;
    for (input, path, message) in [
        (
            someone(json!({ "firstName": "INES", "lastName": "o'brien" })),
            "client.lastName",
            "Another client has this first and last name: INES.",
        ),
        (
            someone(json!({ "lastName": "O'BRIEN", "birthDate": "1990-04-17" })),
            "client.birthDate",
            "Another client has this last name and date of birth: INES.",
        ),
        (
            someone(json!({ "emailAddress": "INES@example.TEST" })),
            "client.emailAddress",
            "Another client has this e-mail address: INES.",
        ),
        (
            someone(json!({ "homePhone": "0047 (900) 00 123" })),
            "client.homePhone",
            "Another client has this home phone number: INES.",
        ),
        (
            someone(json!({ "mobilePhone1": "56-78" })),
            "client.mobilePhone1",
            "Another client has this mobile phone number: INES.",
        ),
        (
            someone(json!({ "mobilePhone2": "12/34" })),
            "client.mobilePhone2",
            "Another client has this mobile phone number: INES.",
        ),
        (
            with(
                someone(json!({})),
                json!({ "idDocuments": [{ "documentType": "Visa", "documentId": "1" },
                    { "documentType": "PASSPORT", "documentId": "ab123" }] }),
            ),
            "idDocuments.1.documentId",
            "Another client has this identification document: INES.",
        ),
    ] {
        let before = server.snapshot().await;
        let answer = upsert(&strict, input).await;
        assert_eq!(
            shown(&answer, "userErrors"),
            [format!("{path} 1 [\"INES\"]")],
            "{}",
            answer.text
        );
        assert_eq!(answer.body["data"]["upsertClient"]["userErrors"][0]["message"], message);
        assert_eq!(server.snapshot().await, before);
    }
    // All of them at once, in the order of the members.
    let twice = with(
        ines(),
        json!({ "client": with(ines()["client"].clone(), json!({ "clientId": "B" })) }),
    );
    let answer = upsert(&strict, twice).await;
    let paths = [
        "homePhone",
        "mobilePhone1",
        "mobilePhone2",
        "emailAddress",
        "lastName",
        "birthDate",
    ];
    let mut expected = paths.map(|path| format!("client.{path} 1 [\"INES\"]")).to_vec();
    expected.push("idDocuments.0.documentId 1 [\"INES\"]".to_owned());
    assert_eq!(shown(&answer, "userErrors"), expected);
    strict.stop().await;
}

async fn other_values_are_no_duplicates(server: &TestServer) {
    store_key(server, ines()).await;
    let strict = checking(server, checks(CheckLevel::Error)).await;
    for (number, members) in [
        json!({ "firstName": "Ines" }),
        json!({ "lastName": "O'Brien" }),
        json!({ "birthDate": "1990-04-17" }),
        json!({ "lastName": "O'Brien", "birthDate": "1990-04-18" }),
        json!({ "homePhone": "1234", "mobilePhone1": "4790000123" }),
        json!({ "homePhone": "none", "mobilePhone1": "-" }),
        json!({ "documentType": "Passport", "documentId": "AB124" }),
        json!({ "documentType": "Visa", "documentId": "AB123" }),
    ]
    .into_iter()
    .enumerate()
    {
        let first = json!({ "firstName": format!("Xaver {number}") });
        let input = match members["documentId"].is_null() {
            true => someone(with(first, members)),
            false => with(someone(first), json!({ "idDocuments": [members] })),
        };
        let answer = upsert(&strict, input).await;
        assert_eq!(answer.body["data"]["upsertClient"]["created"], true, "{}", answer.text);
    }
    strict.stop().await;
}

async fn warnings_store_the_client(server: &TestServer) {
    store_key(server, ines()).await;
    let mixed = DuplicateChecks {
        names: CheckLevel::Error,
        ..checks(CheckLevel::Warning)
    };
    let warning = checking(server, mixed).await;
    let twice = json!({ "emailAddress": "ines@example.test", "homePhone": "4790000123" });
    let answer = upsert(&warning, someone(with(twice, json!({ "clientId": "B" })))).await;
    let message = "Another client has this home phone number: INES.";
    let email = "Another client has this e-mail address: INES.";
    let warned = |message: &str, member: &str| {
        json!({ "code": "DUPLICATE_CLIENT", "message": message, "path": ["input", "client", member], "clientCount": 1,
            "clientIds": ["INES"] })
    };
    answer.data(
        json!({ "upsertClient": { "created": true, "client": { "clientId": "B" },
        "warnings": [warned(message, "homePhone"), warned(email, "emailAddress")], "userErrors": [] } }),
    );
    // An error leaves no warnings.
    let both = someone(json!({ "firstName": "Ines", "lastName": "O'Brien", "emailAddress": "ines@example.test" }));
    let answer = upsert(&warning, both).await;
    assert_eq!(shown(&answer, "userErrors"), ["client.lastName 1 [\"INES\"]"]);
    assert_eq!(shown(&answer, "warnings"), [""; 0]);
    warning.stop().await;
}

async fn only_changed_members_are_checked(server: &TestServer) {
    store_key(server, ines()).await;
    let twice = with(
        ines(),
        json!({ "client": with(ines()["client"].clone(), json!({ "clientId": "B" })) }),
    );
    let key = store_key(server, twice).await;
    let strict = checking(server, checks(CheckLevel::Error)).await;
    let of_b = |members: Value| json!({ "client": with(json!({ "encodedKey": key }), members) });
    for members in [
        json!({ "notes": "n" }),
        json!({ "firstName": "Ines", "emailAddress": "ines@EXAMPLE.test", "homePhone": "4790000123" }),
    ] {
        let answer = upsert(&strict, of_b(members)).await;
        assert_eq!(
            answer.body["data"]["upsertClient"]["userErrors"],
            json!([]),
            "{}",
            answer.text
        );
    }
    // A new value is checked, and the one before it isn't.
    let answer = upsert(&strict, of_b(json!({ "mobilePhone1": "5678" }))).await;
    assert_eq!(shown(&answer, "userErrors"), ["client.mobilePhone1 1 [\"INES\"]"]);
    let documents = json!({ "idDocuments": [{ "documentType": "Passport", "documentId": "AB123" },
        { "documentType": "Visa", "documentId": "1" }] });
    let answer = upsert(&strict, with(of_b(json!({})), documents)).await;
    assert_eq!(
        answer.body["data"]["upsertClient"]["userErrors"],
        json!([]),
        "{}",
        answer.text
    );
    let patched = strict.send(
        strict
            .request(Method::PATCH, "/api/clients/B")
            .json(&json!({ "client": { "notes": "m" } })),
    );
    assert_eq!(patched.await.status, 200);
    strict.stop().await;
}

async fn matches_are_named_to_callers_who_may_view_clients(server: &TestServer) {
    for number in 0..4 {
        store_key(
            server,
            someone(json!({ "clientId": format!("C{number}"), "emailAddress": "a@example.test" })),
        )
        .await;
    }
    let strict = checking_emails(server).await;
    let input = someone(json!({ "emailAddress": "a@example.test" }));
    let answer = upsert(&strict, input.clone()).await;
    assert_eq!(
        shown(&answer, "userErrors"),
        ["client.emailAddress 4 [\"C0\",\"C1\",\"C2\"]"]
    );
    let message = "Other clients have this e-mail address, such as C0, C1, C2.";
    assert_eq!(answer.body["data"]["upsertClient"]["userErrors"][0]["message"], message);
    let blind = strict.as_caller(&Rights::of([Permission::CreateClient]));
    let answer = upsert(&blind, input).await;
    assert_eq!(shown(&answer, "userErrors"), ["client.emailAddress 4 []"]);
    let message = "Other clients have this e-mail address.";
    assert_eq!(answer.body["data"]["upsertClient"]["userErrors"][0]["message"], message);
    strict.stop().await;
}

async fn at_most_100_matches_are_counted(server: &TestServer) {
    let strict = checking(
        server,
        DuplicateChecks {
            names: CheckLevel::Warning,
            ..Default::default()
        },
    )
    .await;
    let clients: Vec<Value> = (0..101).map(|_| someone(json!({}))).collect();
    let query = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { results { warnings { \
        clientCount clientIds } userErrors { code } } } }";
    let answer = data(&strict, query, json!({ "input": { "clients": clients } })).await;
    let results = answer["upsertClients"]["results"].as_array().expect("a list");
    assert_eq!(results[0]["warnings"], json!([]));
    for (number, result) in results.iter().enumerate().skip(1) {
        assert_eq!(result["warnings"][0]["clientCount"], number, "{result}");
    }
    let answer = upsert(&strict, someone(json!({}))).await;
    assert_eq!(answer.body["data"]["upsertClient"]["warnings"][0]["clientCount"], 100);
    strict.stop().await;
}

async fn erased_and_merged_clients_do_not_match(server: &TestServer) {
    let strict = checking(server, checks(CheckLevel::Error)).await;
    let key = store_key(&strict, ines()).await;
    erase(&server.services, &key).await;
    store_key(&strict, ines()).await;
    store_key(&strict, someone(json!({ "clientId": "into" }))).await;
    let query = "mutation { mergeClients(input: { from: { clientId: \"INES\" }, into: { clientId: \"into\" }, \
        idDocuments: ADD }) { userErrors { code } } }";
    assert_eq!(
        data(server, query, json!({})).await,
        json!({ "mergeClients": { "userErrors": [] } })
    );
    // Its document has moved.
    let twice = with(
        ines(),
        json!({ "client": with(ines()["client"].clone(), json!({ "clientId": "B" })) }),
    );
    let answer = upsert(&strict, twice).await;
    assert_eq!(shown(&answer, "userErrors"), ["idDocuments.0.documentId 1 [\"into\"]"]);
    strict.stop().await;
}

async fn exited_clients_match(server: &TestServer) {
    let strict = checking(server, checks(CheckLevel::Error)).await;
    store_key(&strict, ines()).await;
    for state in ["EXITED", "BLACKLISTED", "REJECTED"] {
        let sql = format!("UPDATE client SET state = '{state}'");
        server.write(&sql).await.expect("written");
        let answer = upsert(&strict, someone(json!({ "emailAddress": "ines@example.test" }))).await;
        assert_eq!(
            shown(&answer, "userErrors"),
            ["client.emailAddress 1 [\"INES\"]"],
            "{state}"
        );
    }
    strict.stop().await;
}

/// The value of a merged client may have gone to another one.
async fn client_whose_merge_is_undone_is_checked(server: &TestServer) {
    store_key(server, ines()).await;
    store_key(server, someone(json!({ "clientId": "into" }))).await;
    let merge = "mutation { mergeClients(input: { from: { clientId: \"INES\" }, into: { clientId: \"into\" } }) { \
        userErrors { code } } }";
    assert_eq!(
        data(server, merge, json!({})).await,
        json!({ "mergeClients": { "userErrors": [] } })
    );
    let twice = with(
        ines(),
        json!({ "client": with(ines()["client"].clone(), json!({ "clientId": "C" })) }),
    );
    let of_documents = DuplicateChecks {
        document: CheckLevel::Error,
        ..checks(CheckLevel::Warning)
    };
    let undo = "mutation { changeClientState(input: { by: { clientId: \"INES\" }, state: INACTIVE }) { client { state \
        } userErrors { code message path clientCount clientIds } } }";
    let strict = checking(server, checks(CheckLevel::Error)).await;
    let documents = checking(server, of_documents).await;
    let warning = checking(server, checks(CheckLevel::Warning)).await;
    store_key(&strict, twice).await;
    let error = |message: &str| {
        json!({ "code": "DUPLICATE_CLIENT", "message": message, "path": ["input", "state"], "clientCount": 1,
            "clientIds": ["C"] })
    };
    let refused = |errors: Value| json!({ "changeClientState": { "client": null, "userErrors": errors } });
    let all = [
        "Another client has this home phone number: C.",
        "Another client has this mobile phone number: C.",
        "Another client has this mobile phone number: C.",
        "Another client has this e-mail address: C.",
        "Another client has this first and last name: C.",
        "Another client has this last name and date of birth: C.",
        "Another client has this identification document: C.",
    ];
    let before = server.snapshot().await;
    strict
        .graphql(undo, json!({}))
        .await
        .data(refused(all.map(error).into()));
    documents
        .graphql(undo, json!({}))
        .await
        .data(refused(json!([error(all[6])])));
    let patch = documents.request(Method::PATCH, "/api/clients/INES");
    let answer = documents.send(patch.json(&json!({ "client": { "state": "INACTIVE" } })));
    let source = "idDocuments[0].documentId: Another client has this identification document: C.";
    let refusal = json!({ "returnCode": 310, "returnStatus": "DUPLICATE_CLIENT", "errorSource": source });
    answer.await.is(400, refusal);
    assert_eq!(server.snapshot().await, before);
    let stored = |state: &str| json!({ "changeClientState": { "client": { "state": state }, "userErrors": [] } });
    warning.graphql(undo, json!({})).await.data(stored("INACTIVE"));
    // Other changes of the state bring nothing back.
    let exit = undo.replace("INACTIVE", "EXITED");
    strict.graphql(&exit, json!({})).await.data(stored("EXITED"));
    strict.graphql(undo, json!({})).await.data(stored("INACTIVE"));
    for other in [strict, documents, warning] {
        other.stop().await;
    }
}

/// Stores clients with the same names in the branches.
async fn store_in_branches(server: &TestServer, branches: impl IntoIterator<Item = (&str, usize)>) {
    let query = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { results { userErrors { code } \
        } userErrors { code } } }";
    for (branch, count) in branches {
        let client =
            |number: usize| someone(json!({ "clientId": format!("{branch}{number}"), "assignedBranchKey": branch }));
        let clients: Vec<Value> = (0..count).map(client).collect();
        let answer = data(server, query, json!({ "input": { "clients": clients } })).await;
        let results = vec![json!({ "userErrors": [] }); count];
        assert_eq!(answer["upsertClients"], json!({ "results": results, "userErrors": [] }));
    }
}

fn in_branch(key: &str) -> Rights {
    Rights {
        branches: Limit::To([key.to_owned()].into()),
        ..Rights::all()
    }
}

async fn matches_beyond_the_callers_limits_hide_no_others(server: &TestServer) {
    store_in_branches(server, [("south", 150), ("north", 2)]).await;
    let of_names = |names: CheckLevel| DuplicateChecks {
        names,
        ..Default::default()
    };
    let warning = checking(server, of_names(CheckLevel::Warning)).await;
    let strict = checking(server, of_names(CheckLevel::Error)).await;
    let input = |branch: &str| {
        let client = someone(json!({ "assignedBranchKey": branch }));
        with(client, json!({ "validateOnly": true }))
    };
    for (branch, warned, refused) in [
        (
            "north",
            Some("client.lastName 2 [\"north0\",\"north1\"]"),
            "client.lastName 2 [\"north0\",\"north1\"]",
        ),
        (
            "south",
            Some("client.lastName 100 [\"south0\",\"south1\",\"south10\"]"),
            "client.lastName 100 [\"south0\",\"south1\",\"south10\"]",
        ),
        ("west", None, "client.lastName 0 []"),
    ] {
        let caller = warning.as_caller(&in_branch(branch));
        let answer = upsert(&caller, input(branch)).await;
        assert_eq!(shown(&answer, "warnings"), Vec::from_iter(warned), "{branch}");
        assert_eq!(shown(&answer, "userErrors"), [""; 0], "{branch}");
        let caller = strict.as_caller(&in_branch(branch));
        let answer = upsert(&caller, input(branch)).await;
        assert_eq!(shown(&answer, "userErrors"), [refused], "{branch}");
    }
    warning.stop().await;
    strict.stop().await;
}

async fn many_matches_beyond_the_callers_limits_are_examined(server: &TestServer) {
    store_in_branches(server, [("south", 1)]).await;
    // 9,998 more of them: 10,000 with that of the other branch, whose key is the last.
    let numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9998)";
    let copied = "state, first_name, last_name, preferred_language, client_role_key, assigned_branch_key, created_at, \
        updated_at, version";
    let searched = "first_name, last_name, words, text, form";
    for sql in [
        format!(
            "INSERT INTO client (encoded_key, client_id, {copied}) {numbers} \
             SELECT '00' || (100000 + i), 'S' || i, {copied} FROM n, client WHERE client_id = 'south0'"
        ),
        format!(
            "INSERT INTO client_search (client_key, {searched}) {numbers} \
             SELECT '00' || (100000 + i), {searched} FROM n, client_search"
        ),
    ] {
        server.write(&sql).await.expect("written");
    }
    store_in_branches(server, [("north", 1)]).await;
    let of_names = DuplicateChecks {
        names: CheckLevel::Warning,
        ..Default::default()
    };
    let warning = checking(server, of_names).await;
    let caller = warning.as_caller(&in_branch("north"));
    let input = with(
        someone(json!({ "assignedBranchKey": "north" })),
        json!({ "validateOnly": true }),
    );
    let answer = upsert(&caller, input).await;
    assert_eq!(shown(&answer, "warnings"), ["client.lastName 1 [\"north0\"]"]);
    warning.stop().await;
}

async fn legacy_api_refuses_last_and_ignores_warnings(server: &TestServer) {
    store_key(server, ines()).await;
    let mixed = DuplicateChecks {
        names: CheckLevel::Warning,
        ..checks(CheckLevel::Error)
    };
    let strict = checking(server, mixed).await;
    let client = |members: Value| with(json!({ "firstName": "Bela", "lastName": "Bellweather" }), members);
    let duplicate =
        |source: &str| json!({ "returnCode": 310, "returnStatus": "DUPLICATE_CLIENT", "errorSource": source });
    let body = json!({ "client": client(json!({ "emailAddress": "ines@example.test" })) });
    let source = "client.emailAddress: Another client has this e-mail address: INES.";
    strict
        .refuses("/api/clients", body.clone(), 400, duplicate(source))
        .await;
    let documents = json!([{ "documentType": "Passport", "documentId": "AB123" }]);
    let body_of_document = json!({ "client": client(json!({})), "idDocuments": documents });
    let source = "idDocuments[0].documentId: Another client has this identification document: INES.";
    strict
        .refuses("/api/clients", body_of_document, 400, duplicate(source))
        .await;
    // All other problems are reported first.
    let wrong = with(
        body,
        json!({ "customInformation": [{ "customFieldID": "none", "value": "1" }] }),
    );
    let answer = strict.post("/api/clients", wrong).await;
    assert_eq!(answer.body["returnCode"], 903, "{}", answer.text);
    let names = json!({ "client": { "id": "B", "firstName": "INES", "lastName": "O'Brien" } });
    let answer = strict.post("/api/clients", names).await;
    assert_eq!(
        (answer.status, answer.text.contains("INES\"")),
        (200, true),
        "{}",
        answer.text
    );
    assert!(!answer.text.contains("warning"), "{}", answer.text);
    let patch = strict
        .request(Method::PATCH, "/api/clients/B")
        .json(&json!({ "client": { "homePhone": "4790000123" } }));
    let source = "client.homePhone: Another client has this home phone number: INES.";
    strict.send(patch).await.is(400, duplicate(source));
    let parameters = "/api/clients?firstName=A&lastName=B&email=ines@example.test";
    let answer = strict.send(strict.request(Method::POST, parameters)).await;
    assert_eq!(answer.body["returnCode"], 310, "{}", answer.text);
    strict.stop().await;
}

async fn lists_are_checked_client_by_client(server: &TestServer) {
    let strict = checking(
        server,
        DuplicateChecks {
            email_address: CheckLevel::Error,
            ..checks(CheckLevel::Warning)
        },
    )
    .await;
    let client = |first: &str, email: &str| {
        let client = json!({ "clientId": first, "firstName": first, "lastName": "L", "emailAddress": email });
        json!({ "client": client })
    };
    let query = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { results { created warnings { \
        path clientIds } userErrors { code path clientIds } } } }";
    let again = json!({ "client": { "firstName": "A", "lastName": "L" } });
    let clients = json!([
        client("A", "a@example.test"),
        client("B", "a@example.test"),
        again,
        client("B", "b@example.test")
    ]);
    let answer = data(&strict, query, json!({ "input": { "clients": clients } })).await;
    let stored = |warnings: Value| json!({ "created": true, "warnings": warnings, "userErrors": [] });
    let refused = json!({ "code": "DUPLICATE_CLIENT", "path": ["input", "clients", "1", "client", "emailAddress"],
        "clientIds": ["A"] });
    let warning = json!({ "path": ["input", "clients", "2", "client", "lastName"], "clientIds": ["A"] });
    assert_eq!(
        answer["upsertClients"]["results"],
        json!([stored(json!([])), { "created": false, "warnings": [], "userErrors": [refused] },
            stored(json!([warning])), stored(json!([]))])
    );
    strict.stop().await;
}

async fn checked_input_shows_errors_and_warnings(server: &TestServer) {
    store_key(server, ines()).await;
    let mixed = DuplicateChecks {
        email_address: CheckLevel::Error,
        ..checks(CheckLevel::Warning)
    };
    let strict = checking(server, mixed).await;
    let before = server.snapshot().await;
    let check = |members: Value| with(someone(members), json!({ "validateOnly": true }));
    let answer = upsert(&strict, check(json!({ "homePhone": "4790000123" }))).await;
    assert_eq!(shown(&answer, "warnings"), ["client.homePhone 1 [\"INES\"]"]);
    assert_eq!(answer.body["data"]["upsertClient"]["client"], Value::Null);
    let answer = upsert(&strict, check(json!({ "emailAddress": "ines@example.test" }))).await;
    assert_eq!(shown(&answer, "userErrors"), ["client.emailAddress 1 [\"INES\"]"]);
    let query = "mutation($input: UpsertClientsInput!) { upsertClients(input: $input) { results { created client { \
        clientId } warnings { path } } } }";
    let list = json!({ "validateOnly": true, "clients": [someone(json!({ "homePhone": "4790000123" }))] });
    let answer = data(&strict, query, json!({ "input": list })).await;
    let path = json!(["input", "clients", "0", "client", "homePhone"]);
    let expected = json!([{ "created": false, "client": null, "warnings": [{ "path": path }] }]);
    assert_eq!(answer["upsertClients"]["results"], expected);
    assert_eq!(server.snapshot().await, before);
    strict.stop().await;
}

async fn repeated_request_is_not_checked_again(server: &TestServer) {
    let strict = checking(server, checks(CheckLevel::Error)).await;
    let input = with(ines(), json!({ "idempotencyKey": "k" }));
    let first = upsert(&strict, input.clone()).await;
    assert_eq!(first.body["data"]["upsertClient"]["created"], true);
    let twice = with(
        ines(),
        json!({ "client": with(ines()["client"].clone(), json!({ "clientId": "B" })) }),
    );
    store_key(server, twice).await;
    assert_eq!(upsert(&strict, input).await.text, first.text);
    strict.stop().await;
}

async fn checks_of_a_client_take_one_statement_and_no_scan(server: &TestServer) {
    let strict = checking(server, checks(CheckLevel::Error)).await;
    let mut counts = Vec::new();
    // The first also reads the definitions.
    for count in [2, 1, 8] {
        let documents =
            (0..count).map(|number| json!({ "documentType": "P", "documentId": format!("{count}-{number}") }));
        let input = with(
            someone(
                json!({ "firstName": format!("X{count}"), "emailAddress": format!("{count}@example.test"),
            "homePhone": format!("1{count}"), "mobilePhone1": format!("2{count}"), "mobilePhone2": format!("3{count}"),
            "birthDate": format!("1990-01-{count:02}") }),
            ),
            json!({ "idDocuments": documents.collect::<Value>() }),
        );
        server.statements();
        strict.statements();
        let answer = upsert(&strict, input).await;
        assert_eq!(answer.body["data"]["upsertClient"]["created"], true, "{}", answer.text);
        counts.push(strict.statements());
    }
    assert_eq!(counts[1].len(), counts[2].len(), "{counts:#?}");
    assert_no_scan(server, &counts[1]).await;
    let caller = strict.as_caller(&in_branch("north"));
    strict.statements();
    let full = json!({ "assignedBranchKey": "north", "emailAddress": "n@example.test", "homePhone": "41",
        "mobilePhone1": "42", "mobilePhone2": "43", "birthDate": "1990-01-31", "firstName": "N" });
    let documents = json!({ "idDocuments": [{ "documentType": "P", "documentId": "N" }] });
    let answer = upsert(&caller, with(someone(full), documents)).await;
    assert_eq!(answer.body["data"]["upsertClient"]["created"], true, "{}", answer.text);
    assert_no_scan(server, &strict.statements()).await;
    strict.stop().await;
}

/// Asserts that one statement has all checks, and reads no whole table.
async fn assert_no_scan(server: &TestServer, statements: &[String]) {
    let of_checks = statements.iter().filter(|sql| sql.contains("merged_into_key IS NULL"));
    let of_checks: Vec<&String> = of_checks.collect();
    let [sql] = of_checks[..] else {
        panic!("{statements:#?}")
    };
    let plan = server.plan(sql).await;
    let scans: Vec<&String> = plan.iter().filter(|step| is_scan(step)).collect();
    assert_eq!(scans, Vec::<&String>::new(), "{plan:#?}");
}

/// True if a step of a plan reads a whole table. The lists of the parameters, the examined clients and the matches are
/// none.
fn is_scan(step: &str) -> bool {
    step.contains("Seq Scan")
        || step.starts_with("SCAN") && !["SCAN k ", "SCAN e", "SCAN m"].iter().any(|own| step.starts_with(own))
}

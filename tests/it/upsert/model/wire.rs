//! Submissions and clients in the form of each API.

use serde_json::{Map, Value, json};

use super::{
    access::Access,
    generate::{Door, Entry, Member, Sent, Submission},
    rules::{Client, Members, Model, Problem, REQUEST, Stored, StoredValue, Verdict},
};
use crate::harness::{Answer, TestServer};

const CLIENT: &str = "
    encodedKey clientId version firstName lastName middleName notes emailAddress gender preferredLanguage birthDate
    idDocuments { encodedKey documentType documentId issuingAuthority validUntil }
    addresses { encodedKey line1 city latitude }
    customInformation { encodedKey value linkedKey field { fieldId } }";
const SCALARS: [&str; 8] = [
    "firstName",
    "lastName",
    "middleName",
    "notes",
    "emailAddress",
    "gender",
    "preferredLanguage",
    "birthDate",
];

/// Sends the submission through its API.
pub async fn submit(server: &TestServer, door: Door, sent: &Submission) -> Answer {
    let mut client = members(&sent.client);
    let mut put = |name: &str, value: &Option<String>| {
        value.iter().for_each(|value| {
            client.insert(name.to_owned(), json!(value));
        })
    };
    put("encodedKey", &sent.key);
    put(if door == Door::Rest { "id" } else { "clientId" }, &sent.id);
    let mut body = Map::from_iter([("client".to_owned(), Value::Object(client))]);
    put_list(&mut body, "idDocuments", &sent.documents, member);
    put_list(&mut body, "addresses", &sent.addresses, member);
    put_list(&mut body, "customInformation", &sent.values, |value| entry(value, door));
    if door == Door::Rest {
        let path = sent
            .path
            .as_ref()
            .map_or("/api/clients".to_owned(), |path| format!("/api/clients/{path}"));
        return server.post(&path, body.into()).await;
    }
    if sent.match_on_id {
        body.insert("matchOn".to_owned(), json!("CLIENT_ID"));
    }
    if let Some(version) = sent.expected_version {
        body.insert("expectedVersion".to_owned(), json!(version));
    }
    let mutation = format!(
        "mutation($input: UpsertClientInput!) {{
            upsertClient(input: $input) {{ created client {{ {CLIENT} }} userErrors {{ code path }} }} }}"
    );
    server.graphql(&mutation, json!({ "input": body })).await
}

fn put_list<T>(body: &mut Map<String, Value>, name: &str, list: &Sent<Vec<T>>, write: impl Fn(&T) -> Value) {
    match list {
        Sent::Absent => None,
        Sent::Null => body.insert(name.to_owned(), Value::Null),
        Sent::Value(list) => body.insert(name.to_owned(), list.iter().map(write).collect()),
    };
}

fn members(sent: &std::collections::BTreeMap<&'static str, Sent<Value>>) -> Map<String, Value> {
    let written = sent.iter().filter_map(|(name, sent)| match sent {
        Sent::Absent => None,
        Sent::Null => Some(((*name).to_owned(), Value::Null)),
        Sent::Value(value) => Some(((*name).to_owned(), value.clone())),
    });
    written.collect()
}

fn member(Member { key, members: sent }: &Member) -> Value {
    let mut written = members(sent);
    written.extend(key.iter().map(|key| ("encodedKey".to_owned(), json!(key))));
    written.into()
}

fn entry(Entry { field, value }: &Entry, door: Door) -> Value {
    let (id, link) = match door {
        Door::Rest => ("customFieldID", "linkedEntityKeyValue"),
        Door::Graphql => ("fieldId", "linkedKey"),
    };
    let name = if *field == "friend" { link } else { "value" };
    match value {
        Sent::Absent => json!({ id: field }),
        Sent::Null => json!({ id: field, name: null }),
        Sent::Value(value) => json!({ id: field, name: value }),
    }
}

/// Fills in the keys that the server generated; all must be new.
pub fn learn_keys(model: &mut Model, client: &mut Client, answer: &Answer, door: Door, access: Access) {
    let (stored, lists) = match door {
        Door::Rest => (&answer.body["client"], &answer.body),
        Door::Graphql => {
            let client = &answer.body["data"]["upsertClient"]["client"];
            (client, client)
        }
    };
    let mut learn = |key: &mut String, found: &Value| {
        if key.is_empty() {
            *key = found["encodedKey"].as_str().unwrap_or_default().to_owned();
            assert!(
                model.keys.insert(key.clone()),
                "{key:?} is no new key: {:#}",
                answer.body
            );
        }
    };
    learn(&mut client.key, stored);
    for (index, document) in client.documents.iter_mut().enumerate() {
        learn(&mut document.key, &lists["idDocuments"][index]);
    }
    if let Some(address) = &mut client.address {
        learn(&mut address.key, &lists["addresses"][0]);
    }
    let seen = client.values.iter_mut().filter(|value| access.sees(value.field));
    for (index, value) in seen.enumerate() {
        learn(&mut value.key, &lists["customInformation"][index]);
    }
    if client.id.is_empty() {
        client.id = stored[if door == Door::Rest { "id" } else { "clientId" }]
            .as_str()
            .unwrap_or_default()
            .to_owned();
    }
}

/// Asserts the whole answer to a submission that was carried out.
pub fn assert_stored(answer: &Answer, door: Door, verdict: &Verdict, access: Access) {
    let seen = verdict.client.seen_by(access);
    match door {
        Door::Rest => answer.is(200, rest(&seen)),
        Door::Graphql => answer.data(json!({ "upsertClient": {
            "created": verdict.created, "client": graphql(&seen), "userErrors": [],
        } })),
    };
}

/// Asserts that GraphQL reported every problem, and the legacy route one of the first part.
pub fn assert_refused(answer: &Answer, door: Door, problems: &[Problem]) {
    if door == Door::Rest {
        let rank = problems.iter().map(|problem| problem.rank).min();
        let possible: Vec<u16> = problems
            .iter()
            .filter(|it| Some(it.rank) == rank)
            .map(|it| it.rest)
            .collect();
        let code = answer.body["returnCode"]
            .as_u64()
            .and_then(|code| u16::try_from(code).ok())
            .unwrap_or_default();
        let status = match code {
            15 => 403,
            301 | 302 => 404,
            _ => 400,
        };
        assert!(
            answer.status == status && possible.contains(&code),
            "{problems:#?} but got {}",
            answer.text
        );
        return;
    }
    if problems.iter().any(|problem| problem.path == REQUEST) {
        let code = &answer.body["errors"][0]["extensions"]["code"];
        assert!(
            code == "FORBIDDEN" && answer.body.get("data").is_none(),
            "{}",
            answer.text
        );
        return;
    }
    // Problems of other members can follow an unknown key: the model has no rules for them.
    if let [problem] = problems
        && problem.graphql == "NOT_FOUND"
        && problem.path == "client.encodedKey"
    {
        let first = &answer.body["data"]["upsertClient"]["userErrors"][0];
        let expected = json!({ "code": "NOT_FOUND", "path": ["input", "client", "encodedKey"] });
        assert!(answer.status == 200 && *first == expected, "{}", answer.text);
        return;
    }
    let mut reported: Vec<Value> = problems
        .iter()
        .map(|problem| {
            let path: Vec<&str> = ["input"]
                .into_iter()
                .chain(problem.path.split('.').filter(|step| !step.is_empty()))
                .collect();
            json!({ "code": problem.graphql, "path": path })
        })
        .collect();
    let mut body = answer.body.clone();
    if let Value::Array(errors) = &mut body["data"]["upsertClient"]["userErrors"] {
        errors.sort_by_key(Value::to_string);
    }
    reported.sort_by_key(Value::to_string);
    let expected = json!({ "data": { "upsertClient": { "created": false, "client": null, "userErrors": reported } } });
    assert!(
        answer.status == 200 && body == expected,
        "expected {expected:#}\n\nbut got {} {body:#}",
        answer.status
    );
}

/// Asserts the stored clients, read through both APIs, and that there are no others.
pub async fn assert_all(server: &TestServer, model: &Model) {
    for client in &model.clients {
        let mut expected = rest(client);
        expected["groupKeys"] = json!([]);
        server
            .get(&format!("/api/clients/{}?fullDetails=true", client.key))
            .await
            .is(200, expected);
        let query = format!("query($id: String!) {{ client(by: {{ clientId: $id }}) {{ {CLIENT} }} }}");
        server
            .graphql(&query, json!({ "id": client.id }))
            .await
            .data(json!({ "client": graphql(client) }));
    }
    let snapshot = server.snapshot().await;
    let sum = |count: fn(&Client) -> usize| model.clients.iter().map(count).sum::<usize>();
    for (table, rows) in [
        ("client", model.clients.len()),
        ("client_id_claim", model.clients.len()),
        ("client_search", model.clients.len()),
        ("id_document", sum(|client| client.documents.len())),
        ("id_document_search", sum(|client| client.documents.len())),
        ("address", sum(|client| client.address.iter().len())),
        ("custom_field_value", sum(|client| client.values.len())),
    ] {
        assert_eq!(snapshot.rows(table).len(), rows, "{table}");
    }
}

fn graphql(client: &Client) -> Value {
    let nullable = |stored: &Members, names: &[&str]| -> Map<String, Value> {
        names
            .iter()
            .map(|name| ((*name).to_owned(), stored.get(name).cloned().unwrap_or_default()))
            .collect()
    };
    let member = |Stored { key, members }: &Stored, names: &[&str]| {
        let mut written = nullable(members, names);
        written.insert("encodedKey".to_owned(), json!(key));
        Value::Object(written)
    };
    let document = ["documentType", "documentId", "issuingAuthority", "validUntil"];
    let value = |StoredValue { key, field, value }: &StoredValue| {
        let link = *field == "friend";
        let (value, linked) = if link { (None, Some(value)) } else { (Some(value), None) };
        json!({ "encodedKey": key, "value": value, "linkedKey": linked, "field": { "fieldId": field } })
    };
    let mut written = nullable(&client.scalars, &SCALARS);
    written.extend([
        ("encodedKey".to_owned(), json!(client.key)),
        ("clientId".to_owned(), json!(client.id)),
        ("version".to_owned(), json!(client.version)),
        (
            "idDocuments".to_owned(),
            client.documents.iter().map(|it| member(it, &document)).collect(),
        ),
        (
            "addresses".to_owned(),
            client
                .address
                .iter()
                .map(|it| member(it, &["line1", "city", "latitude"]))
                .collect(),
        ),
        (
            "customInformation".to_owned(),
            client.values.iter().map(value).collect(),
        ),
    ]);
    written.into()
}

fn rest(client: &Client) -> Value {
    let midnight = |(name, value): (&&'static str, &Value)| {
        let date = ["birthDate", "validUntil"]
            .contains(name)
            .then(|| value.as_str())
            .flatten();
        (
            (*name).to_owned(),
            date.map_or_else(|| value.clone(), |date| json!(format!("{date}T00:00:00+0000"))),
        )
    };
    let member = |(index, Stored { key, members }): (usize, &Stored), owner: &str| {
        let mut written: Map<String, Value> = members.iter().map(midnight).collect();
        written.extend([
            ("encodedKey".to_owned(), json!(key)),
            (owner.to_owned(), json!(client.key)),
            ("indexInList".to_owned(), json!(index)),
        ]);
        Value::Object(written)
    };
    let value = |(index, StoredValue { key, field, value }): (usize, &StoredValue)| {
        json!({
            "encodedKey": key, "parentKey": client.key, "customFieldKey": format!("{field}Key"), "customFieldID": field,
            "indexInList": index, "customFieldSetGroupIndex": -1, "customField": definition(field),
            if *field == "friend" { "linkedEntityKeyValue" } else { "value" }: value,
        })
    };
    let mut own: Map<String, Value> = client.scalars.iter().map(midnight).collect();
    let always = json!({
        "encodedKey": client.key, "id": client.id, "state": "INACTIVE", "creationDate": "<time>",
        "lastModifiedDate": "<time>", "approvedDate": "<time>", "loanCycle": 0, "groupLoanCycle": 0,
        "clientRole": { "encodedKey": "d9df8bc78a0234ccc934a845c" },
    });
    own.extend(always.as_object().cloned().unwrap_or_default());
    json!({
        "client": own,
        "idDocuments": client.documents.iter().enumerate().map(|it| member(it, "clientKey")).collect::<Vec<_>>(),
        "addresses": client.address.iter().enumerate().map(|it| member(it, "parentKey")).collect::<Vec<_>>(),
        "customInformation": client.values.iter().enumerate().map(value).collect::<Vec<_>>(),
    })
}

fn definition(field: &str) -> Value {
    let (kind, length) = match field {
        "text" => ("STRING", Some("SHORT")),
        "number" => ("NUMBER", None),
        "flag" => ("CHECKBOX", None),
        "band" => ("SELECTION", None),
        "day" => ("DATE", None),
        _ => ("CLIENT_LINK", None),
    };
    let mut definition = json!({
        "encodedKey": format!("{field}Key"), "id": field, "name": format!("The {field}"), "type": "CLIENT_INFO",
        "dataType": kind, "isRequired": false, "state": "NORMAL", "unique": false,
    });
    if let Some(length) = length {
        definition["valueLength"] = json!(length);
    }
    definition
}

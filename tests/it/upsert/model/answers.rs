//! Compares answers and stored data with the model.

use serde_json::{Map, Value, json};

use super::{
    definitions::{Field, Kind},
    generate::Submission,
    rules::{Client, Members, Model, Problem, REQUEST, Stored, StoredValue, Verdict, effects::Effect, values::claims},
    wire::CLIENT,
};
use crate::harness::{Answer, TestServer};

const SCALARS: [&str; 9] = [
    "firstName",
    "lastName",
    "middleName",
    "notes",
    "emailAddress",
    "gender",
    "preferredLanguage",
    "birthDate",
    "assignedBranchKey",
];
const DATES: [(&str, &str, &str); 3] = [
    ("approved", "approvedDate", "approvedAt"),
    ("activated", "activationDate", "activatedAt"),
    ("closed", "closedDate", "closedAt"),
];

/// Fills in what the server generated, from the client in the form of an API. All keys must be new.
pub fn learn(model: &mut Model, client: &mut Client, shown: &Value, is_rest: bool) {
    let own = if is_rest { &shown["client"] } else { shown };
    let mut learn = |key: &mut String, found: &Value| {
        if key.is_empty() {
            *key = found["encodedKey"].as_str().unwrap_or_default().to_owned();
            assert!(model.keys.insert(key.clone()), "{key:?} is no new key: {shown:#}");
        }
    };
    learn(&mut client.key, own);
    for (index, document) in client.documents.iter_mut().enumerate() {
        learn(&mut document.key, &shown["idDocuments"][index]);
    }
    if let Some(address) = &mut client.address {
        learn(&mut address.key, &shown["addresses"][0]);
    }
    let values = shown["customInformation"].as_array().cloned().unwrap_or_default();
    for value in client.values.iter_mut().filter(|value| value.key.is_empty()) {
        let is_it = |found: &&Value| {
            let (field, group) = match is_rest {
                true => (&found["customFieldID"], &found["customFieldSetGroupIndex"]),
                false => (&found["field"]["fieldId"], &found["groupIndex"]),
            };
            let group = group.as_i64().filter(|group| *group != -1);
            field == value.field && group == value.group.map(i64::from)
        };
        let found = values.iter().find(is_it).cloned().unwrap_or_default();
        learn(&mut value.key, &found);
    }
    if client.id.is_empty() {
        let id = own[if is_rest { "id" } else { "clientId" }]
            .as_str()
            .unwrap_or_default();
        let role = model.definitions.role(client.role).expect("a role of the model");
        assert!(id.starts_with(role.id_prefix), "{id}");
        client.id = id.to_owned();
    }
}

/// Asserts the result of an upsert that was carried out, or would be.
pub fn assert_result(result: &Value, verdict: &Verdict, sent: &Submission, model: &Model) {
    let seen = verdict.client.seen_by(sent.access);
    let expected = match sent.validate_only {
        true => json!({ "created": false, "client": null, "userErrors": [] }),
        false => json!({ "created": verdict.created, "client": graphql(&seen, model), "userErrors": [] }),
    };
    assert!(
        *result == expected,
        "{sent:#?}\nexpected {expected:#}\n\nbut got {result:#}"
    );
}

/// Asserts the whole answer to a POST that was carried out.
pub fn assert_posted(answer: &Answer, verdict: &Verdict, sent: &Submission, model: &Model) {
    let expected = rest(&verdict.client.seen_by(sent.access), model);
    assert!(
        answer.status == 200 && answer.body == expected,
        "{sent:#?}\nexpected {expected:#}\n\nbut got {} {:#}",
        answer.status,
        answer.body
    );
}

/// Asserts a refusal by the REST API: one of the problems of the first part.
pub fn assert_refused(answer: &Answer, problems: &[Problem], sent: &dyn std::fmt::Debug) {
    let rank = problems.iter().map(|problem| problem.rank).min();
    let first = problems.iter().filter(|problem| Some(problem.rank) == rank);
    let possible: Vec<u16> = first.map(|problem| problem.rest).collect();
    let code = answer.body["returnCode"]
        .as_u64()
        .and_then(|code| u16::try_from(code).ok());
    let code = code.unwrap_or_default();
    let status = match code {
        15 => 403,
        301 | 302 => 404,
        _ => 400,
    };
    assert!(
        answer.status == status && possible.contains(&code),
        "{sent:#?}\n{problems:#?} but got {}",
        answer.text
    );
}

/// Asserts that GraphQL reports exactly these problems, below `input` and these steps.
pub fn assert_user_errors(found: &Value, problems: &[Problem], steps: &[String], sent: &dyn std::fmt::Debug) {
    let error = |problem: &Problem| {
        let own = problem.path.split('.').filter(|step| !step.is_empty());
        let path: Vec<&str> = ["input"]
            .into_iter()
            .chain(steps.iter().map(String::as_str))
            .chain(own)
            .collect();
        json!({ "code": problem.graphql, "path": path })
    };
    let mut expected: Vec<Value> = problems.iter().map(error).collect();
    let mut found = found.as_array().cloned().unwrap_or_default();
    // Problems of other members can follow an unknown key: the model has no rules for them.
    if problems
        .iter()
        .any(|problem| problem.graphql == "NOT_FOUND" && problem.path == "client.encodedKey")
    {
        found.truncate(1);
    }
    found.sort_by_key(Value::to_string);
    expected.sort_by_key(Value::to_string);
    assert!(
        found == expected,
        "{sent:#?}\nexpected {expected:#?}\n\nbut got {found:#?}"
    );
}

/// True if the problem is that the caller may not do this at all, after asserting the answer to it.
pub fn is_forbidden(answer: &Answer, problems: &[Problem]) -> bool {
    let is_forbidden = problems.iter().any(|problem| problem.path == REQUEST);
    if is_forbidden {
        let code = &answer.body["errors"][0]["extensions"]["code"];
        assert!(
            code == "FORBIDDEN" && answer.body.get("data").is_none(),
            "{}",
            answer.text
        );
    }
    is_forbidden
}

/// Reads a client through one of the APIs, learns its new keys, and compares it with the model.
pub async fn assert_read(server: &TestServer, model: &mut Model, client: &mut Client, is_rest: bool) {
    if is_rest {
        let answer = server
            .get(&format!("/api/clients/{}?fullDetails=true", client.key))
            .await;
        learn(model, client, &answer.body, true);
        let mut expected = rest(client, model);
        expected["groupKeys"] = json!([]);
        answer.is(200, expected);
    } else {
        let query = format!("query($id: String!) {{ client(by: {{ clientId: $id }}) {{ {CLIENT} }} }}");
        let answer = server.graphql(&query, json!({ "id": client.id })).await;
        let shown = &answer.body["data"]["client"];
        learn(model, client, shown, false);
        answer.data(json!({ "client": graphql(client, model) }));
    }
}

/// Asserts the effect of a change of definitions.
pub fn assert_effect(server: &TestServer, payload: &Value, effect: Option<&Effect>) {
    let expected = |effect: &Effect, found: &Value| {
        // The order of clients that were created in one list is that of their keys.
        let ids = found["clientIds"].as_array().cloned().unwrap_or_default();
        let are_of_them = ids
            .iter()
            .all(|id| effect.ids.iter().any(|of_effect| *id == server.reveal(of_effect)));
        assert!(
            are_of_them && ids.len() == effect.ids.len().min(3),
            "{effect:?} {payload:#}"
        );
        let path = json!(["input", "fields", effect.index.to_string(), effect.member]);
        json!({ "code": effect.code, "path": path, "clientCount": effect.ids.len(), "clientIds": ids })
    };
    for (list, is_refused) in [("userErrors", true), ("warnings", false)] {
        let effect = effect.filter(|effect| effect.is_refused == is_refused);
        let found = &payload[list];
        let expected: Vec<Value> = effect.iter().map(|effect| expected(effect, &found[0])).collect();
        assert_eq!(*found, json!(expected), "{effect:?}");
    }
}

/// Asserts the stored clients, read through both APIs, that there are no others, and that nothing else is left.
pub async fn assert_all(server: &TestServer, model: &mut Model) {
    for mut client in model.clients.clone() {
        for is_rest in [true, false] {
            assert_read(server, model, &mut client, is_rest).await;
        }
    }
    let snapshot = server.snapshot().await;
    let columns = |table: &str, names: &[usize]| -> Vec<Vec<String>> {
        let texts = |row: &str| {
            let row: Value = serde_json::from_str(row).expect("a row is JSON");
            let text = |at: &usize| row[at].as_str().unwrap_or_default().to_owned();
            names.iter().map(text).collect()
        };
        let mut rows: Vec<Vec<String>> = snapshot.rows(table).into_iter().map(texts).collect();
        rows.sort();
        rows
    };
    let expected = |rows: &mut dyn Iterator<Item = Vec<&str>>| -> Vec<Vec<String>> {
        let reveal = |row: Vec<&str>| row.into_iter().map(|text| server.reveal(text)).collect();
        let mut rows: Vec<Vec<String>> = rows.map(reveal).collect();
        rows.sort();
        rows
    };
    let (clients, claims) = (&model.clients, claims(model));
    let of_each = |count: fn(&Client) -> usize| {
        expected(
            &mut clients
                .iter()
                .flat_map(|it| std::iter::repeat_n(vec![it.key.as_str()], count(it))),
        )
    };
    assert_eq!(columns("client", &[0]), of_each(|_| 1));
    assert_eq!(columns("client_search", &[0]), of_each(|_| 1));
    for table in ["id_document", "id_document_search"] {
        assert_eq!(
            columns(table, &[0]),
            of_each(|client| client.documents.len()),
            "{table}"
        );
    }
    assert_eq!(columns("address", &[0]), of_each(|client| client.address.iter().len()));
    assert_eq!(
        columns("custom_field_value", &[0]),
        of_each(|client| client.values.len())
    );
    let ids = &mut clients
        .iter()
        .map(|client| vec![client.id.as_str(), client.key.as_str()]);
    assert_eq!(columns("client_id_claim", &[0, 1]), expected(ids));
    let claims = &mut claims
        .iter()
        .map(|(field, value, key)| vec![field.as_str(), value.as_str(), key.as_str()]);
    assert_eq!(columns("custom_field_claim", &[0, 1, 2]), expected(claims));
}

fn graphql(client: &Client, model: &Model) -> Value {
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
    let document = [
        "documentType",
        "documentId",
        "issuingAuthority",
        "validUntil",
        "templateKey",
    ];
    let value = |StoredValue {
                     key,
                     field,
                     group,
                     value,
                 }: &StoredValue| {
        let link = *field == "friend";
        let (value, linked) = if link { (None, Some(value)) } else { (Some(value), None) };
        let is_active = model.definitions.field(field).is_some_and(|field| field.is_active);
        let state = if is_active { "ACTIVE" } else { "DEACTIVATED" };
        json!({ "encodedKey": key, "groupIndex": group, "value": value, "linkedKey": linked,
            "field": { "fieldId": field, "state": state } })
    };
    let documents: Vec<Value> = client.documents.iter().map(|it| member(it, &document)).collect();
    let addresses = client
        .address
        .iter()
        .map(|it| member(it, &["line1", "city", "latitude"]));
    let mut written = nullable(&client.scalars, &SCALARS);
    let own = json!({
        "encodedKey": client.key, "clientId": client.id, "version": client.version, "state": client.state,
        "clientRole": { "roleId": client.role }, "idDocuments": documents,
        "addresses": addresses.collect::<Vec<_>>(),
        "customInformation": client.values.iter().map(value).collect::<Vec<_>>(),
    });
    written.extend(own.as_object().cloned().unwrap_or_default());
    for (date, _, name) in DATES {
        written.insert(name.to_owned(), json!(client.dates.contains(date).then_some("<time>")));
    }
    written.into()
}

fn rest(client: &Client, model: &Model) -> Value {
    let midnight = |(name, value): (&&'static str, &Value)| {
        let date = ["birthDate", "validUntil"]
            .contains(name)
            .then(|| value.as_str())
            .flatten();
        let name = if *name == "templateKey" {
            "identificationDocumentTemplateKey"
        } else {
            *name
        };
        let date = date.map(|date| json!(format!("{date}T00:00:00+0000")));
        (name.to_owned(), date.unwrap_or_else(|| value.clone()))
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
    let value = |(
        index,
        StoredValue {
            key,
            field,
            group,
            value,
        },
    ): (usize, &StoredValue)| {
        json!({
            "encodedKey": key, "parentKey": client.key, "customFieldKey": format!("{field}Key"), "customFieldID": field,
            "indexInList": index, "customFieldSetGroupIndex": group.unwrap_or(-1),
            "customField": model.definitions.field(field).map(definition),
            if *field == "friend" { "linkedEntityKeyValue" } else { "value" }: value,
        })
    };
    let mut own: Map<String, Value> = client.scalars.iter().map(midnight).collect();
    let role = match client.role {
        "client" => "d9df8bc78a0234ccc934a845c".to_owned(),
        role => format!("{role}Key"),
    };
    let always = json!({
        "encodedKey": client.key, "id": client.id, "state": client.state, "creationDate": "<time>",
        "lastModifiedDate": "<time>", "loanCycle": 0, "groupLoanCycle": 0, "clientRole": { "encodedKey": role },
    });
    own.extend(always.as_object().cloned().unwrap_or_default());
    let dates = DATES.iter().filter(|(date, ..)| client.dates.contains(date));
    own.extend(dates.map(|(_, name, _)| ((*name).to_owned(), json!("<time>"))));
    json!({
        "client": own,
        "idDocuments": client.documents.iter().enumerate().map(|it| member(it, "clientKey")).collect::<Vec<_>>(),
        "addresses": client.address.iter().enumerate().map(|it| member(it, "parentKey")).collect::<Vec<_>>(),
        "customInformation": client.values.iter().enumerate().map(value).collect::<Vec<_>>(),
    })
}

/// A custom field as it is shown next to its values.
fn definition(field: &Field) -> Value {
    let kind = match field.kind {
        Kind::Text => "STRING",
        Kind::Number => "NUMBER",
        Kind::Checkbox => "CHECKBOX",
        Kind::Selection => "SELECTION",
        Kind::Date => "DATE",
        Kind::ClientLink => "CLIENT_LINK",
    };
    let mut definition = json!({
        "encodedKey": format!("{}Key", field.id), "id": field.id, "name": field.id, "type": "CLIENT_INFO",
        "dataType": kind, "isRequired": field.is_required && field.role.is_none(), "unique": field.is_unique,
        "state": if field.is_active { "NORMAL" } else { "DEACTIVATED" },
    });
    if field.kind == Kind::Text {
        definition["valueLength"] = json!("SHORT");
    }
    if let Some(pattern) = field.pattern {
        definition["validationPattern"] = json!(pattern);
    }
    definition
}

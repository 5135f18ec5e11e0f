//! Sends the requests of a sequence in the form of each API.

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    generate::{Entry, Match, Member, Members, Removal, Sent, Submission, Way},
    rules::Model,
};
use crate::harness::{Answer, TestServer};

pub const CLIENT: &str = "
    encodedKey clientId version state approvedAt activatedAt closedAt clientRole { roleId }
    firstName lastName middleName notes emailAddress gender preferredLanguage birthDate assignedBranchKey
    idDocuments { encodedKey documentType documentId issuingAuthority validUntil templateKey }
    addresses { encodedKey line1 city latitude }
    customInformation { encodedKey groupIndex value linkedKey field { fieldId state } }";

/// Sends a submission through the API of its way.
pub async fn submit(server: &TestServer, model: &Model, sent: &Submission) -> Answer {
    let path = match &sent.path {
        Some(path) => format!("/api/clients/{path}"),
        None => "/api/clients".to_owned(),
    };
    match sent.way {
        Way::Post => server.post(&path, body(sent, model)).await,
        Way::Patch => {
            let body = json!({ "client": body(sent, model)["client"] });
            server.send_json(Method::PATCH, &path, body).await
        }
        Way::PatchValues => {
            let body = json!({ "client": {}, "customInformation": body(sent, model)["customInformation"] });
            server
                .send_json(Method::PATCH, &format!("{path}/custominformation"), body)
                .await
        }
        Way::PatchValue | Way::DeleteValue => {
            let Sent::Value(values) = &sent.values else {
                panic!("it has one value")
            };
            let group = values[0].group.map(|group| format!("/{group}")).unwrap_or_default();
            let path = format!("{path}/custominformation/{}{group}", values[0].field);
            if sent.way == Way::DeleteValue {
                return server.send(server.request(Method::DELETE, &path)).await;
            }
            server.send_json(Method::PATCH, &path, entry(&values[0], true)).await
        }
        Way::Upsert => {
            let mutation = format!(
                "mutation($input: UpsertClientInput!) {{
                    upsertClient(input: $input) {{ created client {{ {CLIENT} }} userErrors {{ code path }} }} }}"
            );
            server.graphql(&mutation, json!({ "input": body(sent, model) })).await
        }
        Way::State => {
            let mutation = "mutation($input: ChangeClientStateInput!) {
                changeClientState(input: $input) { userErrors { code path } } }";
            let name = sent.path.as_deref().unwrap_or_default();
            let by = match model.clients.iter().any(|client| client.id == name) {
                true => "clientId",
                false => "encodedKey",
            };
            let mut input = json!({ "by": { by: name }, "state": members(&sent.client)["state"] });
            if let Some(version) = sent.expected_version {
                input["expectedVersion"] = json!(version);
            }
            server.graphql(mutation, json!({ "input": input })).await
        }
    }
}

/// Sends submissions as one list.
pub async fn submit_many(server: &TestServer, model: &Model, sent: &[Submission], validate_only: bool) -> Answer {
    let mutation = format!(
        "mutation($input: UpsertClientsInput!) {{ upsertClients(input: $input) {{
            results {{ created client {{ {CLIENT} }} userErrors {{ code path }} }} userErrors {{ code path }} }} }}"
    );
    let clients: Vec<Value> = sent.iter().map(|sent| body(sent, model)).collect();
    let input = json!({ "clients": clients, "validateOnly": validate_only });
    server.graphql(&mutation, json!({ "input": input })).await
}

/// Deletes or erases a client.
pub async fn remove(server: &TestServer, name: &str, how: Removal) -> Answer {
    let mutation = match how {
        Removal::Rest => {
            let request = server.request(Method::DELETE, &format!("/api/clients/{name}"));
            return server.send(request).await;
        }
        Removal::Graphql => "deleteClient",
        Removal::Erasure => "eraseClient",
    };
    let query = format!(
        "mutation($key: String!) {{ {mutation}(input: {{ by: {{ encodedKey: $key }} }}) {{
        userErrors {{ code path }} }} }}"
    );
    server.graphql(&query, json!({ "key": name })).await
}

/// The body of a POST or the input of an upsert.
fn body(sent: &Submission, model: &Model) -> Value {
    let is_rest = sent.way.is_rest();
    let mut client = members(&sent.client);
    if let Some(role) = client.remove("role") {
        let key = |id: &str| model.definitions.role(id).map_or("absentKey", |role| role.key);
        let (name, role) = match (sent.way, role) {
            (Way::Patch, role) => ("clientRoleId", role),
            (Way::Post, Value::String(id)) => ("clientRole", json!({ "encodedKey": key(&id) })),
            (_, Value::String(id)) => ("clientRole", json!({ "roleId": id })),
            (_, role) => ("clientRole", role),
        };
        client.insert(name.to_owned(), role);
    }
    let mut put = |name: &str, value: &Option<String>| {
        value.iter().for_each(|value| {
            client.insert(name.to_owned(), json!(value));
        });
    };
    put("encodedKey", &sent.key);
    put(if is_rest { "id" } else { "clientId" }, &sent.id);
    let mut body = Map::from_iter([("client".to_owned(), Value::Object(client))]);
    put_list(&mut body, "idDocuments", &sent.documents, |document| {
        member(document, is_rest)
    });
    put_list(&mut body, "addresses", &sent.addresses, |address| {
        member(address, is_rest)
    });
    put_list(&mut body, "customInformation", &sent.values, |value| {
        entry(value, is_rest)
    });
    match sent.matched {
        Match::Key => {}
        Match::Id => {
            body.insert("matchOn".to_owned(), json!("CLIENT_ID"));
        }
        Match::Field(field, value) => {
            body.insert("matchOn".to_owned(), json!("CUSTOM_FIELD"));
            body.insert(
                "matchCustomField".to_owned(),
                json!({ "fieldId": field, "value": value }),
            );
        }
    }
    if let Some(version) = sent.expected_version {
        body.insert("expectedVersion".to_owned(), json!(version));
    }
    if sent.validate_only {
        body.insert("validateOnly".to_owned(), json!(true));
    }
    body.into()
}

fn put_list<T>(body: &mut Map<String, Value>, name: &str, list: &Sent<Vec<T>>, write: impl Fn(&T) -> Value) {
    match list {
        Sent::Absent => None,
        Sent::Null => body.insert(name.to_owned(), Value::Null),
        Sent::Value(list) => body.insert(name.to_owned(), list.iter().map(write).collect()),
    };
}

fn members(sent: &Members) -> Map<String, Value> {
    let written = sent.iter().filter_map(|(name, sent)| match sent {
        Sent::Absent => None,
        Sent::Null => Some(((*name).to_owned(), Value::Null)),
        Sent::Value(value) => Some(((*name).to_owned(), value.clone())),
    });
    written.collect()
}

fn member(Member { key, members: sent }: &Member, is_rest: bool) -> Value {
    let mut written = members(sent);
    if let Some(template) = written.remove("templateKey") {
        let name = if is_rest {
            "identificationDocumentTemplateKey"
        } else {
            "templateKey"
        };
        written.insert(name.to_owned(), template);
    }
    written.extend(key.iter().map(|key| ("encodedKey".to_owned(), json!(key))));
    written.into()
}

fn entry(Entry { field, group, value }: &Entry, is_rest: bool) -> Value {
    let (id, index, link) = match is_rest {
        true => ("customFieldID", "customFieldSetGroupIndex", "linkedEntityKeyValue"),
        false => ("fieldId", "groupIndex", "linkedKey"),
    };
    let name = if *field == "friend" { link } else { "value" };
    let mut written = json!({ id: field });
    match value {
        Sent::Absent => {}
        Sent::Null => written[name] = Value::Null,
        Sent::Value(value) => written[name] = json!(value),
    }
    if let Some(group) = group {
        written[index] = json!(group);
    }
    written
}

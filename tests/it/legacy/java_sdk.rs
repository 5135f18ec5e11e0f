//! Requests in the form of the public Java SDK of the legacy API: those in `java_sdk*.http`, and more to the program
//! with default settings.

use clientele::definitions::Kind;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::{CLIENTS, refusal};
use crate::harness::{
    TestServer, field,
    graphql::{data, define_document_template},
    program::Server,
};

/// Requests, each with its answer.
const REQUESTS: &str = include_str!("java_sdk.http");
const CHANGES: &str = include_str!("java_sdk_changes.http");
const FORMS: &str = include_str!("java_sdk_forms.http");

fn request(server: &Server, method: Method, path: &str) -> RequestBuilder {
    let http = reqwest::Client::builder().no_proxy().build();
    let http = http.expect("it has no options");
    http.request(method, format!("{}{path}", server.address))
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("the server answers");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

async fn post(server: &Server, path: &str, body: &Value) -> (u16, Value) {
    answer(request(server, Method::POST, path).json(body)).await
}

async fn get(server: &Server, path: &str) -> (u16, Value) {
    // The SDK names a media type for requests without a body, too.
    answer(request(server, Method::GET, path).header("content-type", "application/json; charset=UTF-8")).await
}

/// A new client as the SDK writes it.
fn ines() -> Value {
    json!({ "client": { "id": "", "state": "INACTIVE", "firstName": "Ines", "lastName": "Okafor", "loanCycle": 0,
        "groupLoanCycle": 0, "birthDate": "1990-04-17T00:00:00+0000", "gender": "FEMALE",
            "preferredLanguage": "ENGLISH" },
        "appkey": "K" })
}

on_both!(
    requests_of_the_sdk_are_answered_as_written,
    changes_of_the_sdk_are_answered_as_written,
    forms_of_the_sdk_are_answered_as_written,
    empty_id_is_generated_on_create_and_ignored_on_update,
    appkey_is_accepted_on_every_route,
    inactive_state_on_create_yields_to_the_configured_one,
);

async fn requests_of_the_sdk_are_answered_as_written(server: &TestServer) {
    server.define(vec![field("employer", Kind::Text)]).await;
    assert_eq!(send_all(server, REQUESTS).await, 12);
}

async fn changes_of_the_sdk_are_answered_as_written(server: &TestServer) {
    let set = json!({ "setId": "cards", "encodedKey": "cardsKey", "name": "Cards", "usage": "GROUPED" });
    let field = |id: &str| json!({ "fieldId": id, "encodedKey": format!("{id}Key"), "name": id, "type": "TEXT" });
    let query = "mutation($input: UpsertCustomFieldSetInput!) { upsertCustomFieldSet(input: $input) { userErrors { \
        code } } }";
    let input = json!({ "set": set, "fields": [field("card"), field("holder")] });
    data(server, query, json!({ "input": input })).await;
    let template = json!({ "templateId": "passport", "encodedKey": "passportKey", "documentType": "Passport",
        "issuingAuthority": "Test Office", "pattern": "@#######" });
    define_document_template(server, template).await;
    assert_eq!(send_all(server, CHANGES).await, 24);
}

async fn forms_of_the_sdk_are_answered_as_written(server: &TestServer) {
    server.define(vec![field("employer", Kind::Text)]).await;
    assert_eq!(send_all(server, FORMS).await, 5);
}

/// Sends the requests of a file and compares their answers. Returns the number of requests.
async fn send_all(server: &TestServer, requests: &str) -> usize {
    let requests = requests.split("\n### ").skip(1);
    let mut sent = 0;
    for request in requests {
        let parts: Vec<&str> = request.trim_end().split("\n\n").collect();
        let (head, body, answer) = match parts[..] {
            [head, answer] => (head, None, answer),
            [head, body, answer] => (head, Some(body), answer),
            _ => panic!("a head, perhaps a body, and an answer: {request}"),
        };
        let mut head = head.lines();
        let title = head.next().expect("a title");
        let line = head.next().and_then(|line| line.split_once(' '));
        let (method, path) = line.expect("a method and a path");
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let (status, expected) = answer.split_once('\n').expect("a status and a body");
        let expected: Value = serde_json::from_str(expected).expect("an answer in JSON");
        let headers = head.filter_map(|line| line.split_once(": "));
        let request = server.request(method, path);
        let request = headers.fold(request, |request, (name, value)| request.header(name, value));
        let request = body
            .into_iter()
            .fold(request, |request, body| request.body(server.reveal(body)));
        let answer = server.send(request).await;
        let found = (answer.status.to_string(), &answer.body);
        assert_eq!(found, (status.to_owned(), &expected), "{title}: {}", answer.text);
        sent += 1;
    }
    sent
}

async fn empty_id_is_generated_on_create_and_ignored_on_update(server: &TestServer) {
    let url = server.database_url();
    let server = Server::open(&[("DATABASE_URL", &*url)]);
    let (status, created) = post(&server, "/api/clients?appkey=K", &ines()).await;
    assert_eq!(status, 200, "{created}");
    let id = created["client"]["id"].as_str().expect("an id");
    assert_eq!(id.len(), 9, "the default pattern: {id}");

    let path = format!("/api/clients/{id}?appkey=K");
    let changed = json!({ "client": { "id": "", "encodedKey": created["client"]["encodedKey"], "notes": "n" } });
    let (status, updated) = post(&server, &path, &changed).await;
    let client = &updated["client"];
    assert_eq!(
        (status, &client["id"], &client["notes"]),
        (200, &json!(id), &json!("n")),
        "{updated}"
    );

    for (name, value) in [("id", ""), ("appkey", "K")] {
        let form = [("firstName", "Ines"), ("lastName", "Okafor"), (name, value)];
        let (status, created) = answer(request(&server, Method::POST, CLIENTS).form(&form)).await;
        assert_eq!(
            (status, created["id"].as_str().map(str::len)),
            (200, Some(9)),
            "{created}"
        );
        let query = request(&server, Method::POST, CLIENTS).query(&form);
        let (status, created) = answer(query).await;
        assert_eq!(
            (status, created["id"].as_str().map(str::len)),
            (200, Some(9)),
            "{created}"
        );
    }
}

async fn appkey_is_accepted_on_every_route(server: &TestServer) {
    let url = server.database_url();
    let server = Server::open(&[("DATABASE_URL", &*url)]);
    let (_, created) = post(&server, CLIENTS, &ines()).await;
    let id = created["client"]["id"].as_str().expect("an id");
    let (status, found) = get(&server, &format!("/api/clients/{id}?appkey=K")).await;
    assert_eq!((status, &found), (200, &created["client"]));
    let (status, full) = get(
        &server,
        &format!("/api/clients/{id}/?fullDetails=true&appkey=K&limit=1&offset=2"),
    )
    .await;
    assert_eq!((status, &full["client"]), (200, &created["client"]));
    let (status, list) = get(&server, "/api/clients?appkey=K&firstName=Ines&limit=5&offset=0").await;
    assert_eq!((status, list), (200, json!([created["client"]])));
    let (status, page) = get(&server, "/api/clients/?limit=1&appkey=").await;
    assert_eq!((status, page), (200, json!([created["client"]])));

    // Unknown parameters are refused by name.
    let (status, refused) = get(&server, "/api/clients?appKey=K").await;
    let source = "appKey isn't a filter of this list.";
    assert_eq!((status, refused), (400, refusal(27, "PARAMETER_NOT_ALLOWED", source)));
}

async fn inactive_state_on_create_yields_to_the_configured_one(server: &TestServer) {
    let url = server.database_url();
    let first = ("CLIENTELE_CLIENTS__FIRST_STATE", "PENDING_APPROVAL");
    let server = Server::open(&[("DATABASE_URL", &*url), first]);
    let (status, created) = post(&server, CLIENTS, &ines()).await;
    assert_eq!(
        (status, &created["client"]["state"]),
        (200, &json!("PENDING_APPROVAL")),
        "{created}"
    );
    let parameters = "/api/clients?firstName=A&lastName=B&state=INACTIVE";
    let (status, created) = answer(request(&server, Method::POST, parameters)).await;
    assert_eq!(
        (status, &created["state"]),
        (200, &json!("PENDING_APPROVAL")),
        "{created}"
    );

    let source = "client.state: state can't be set here: leave it out, or send PENDING_APPROVAL.";
    let refused = (400, refusal(305, "INVALID_CLIENT_STATE", source));
    let mut active = ines();
    active["client"]["state"] = json!("ACTIVE");
    assert_eq!(post(&server, CLIENTS, &active).await, refused);
    let path = format!("/api/clients/{}", created["id"].as_str().expect("an id"));
    assert_eq!(
        post(&server, &path, &json!({ "client": { "state": "INACTIVE" } })).await,
        refused
    );
    let same = json!({ "client": { "state": "PENDING_APPROVAL", "id": "" } });
    assert_eq!(post(&server, &path, &same).await.0, 200);
}

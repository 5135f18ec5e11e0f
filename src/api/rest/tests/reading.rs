//! Tests of answers: shapes, lists, and requests that can't be parsed.

use reqwest::{
    Method,
    header::{ACCEPT, ALLOW, CONTENT_TYPE},
};
use serde_json::{Value, json};

use super::{DEFAULT_ROLE, RestSettings, Server, masked, refusal, send};

#[tokio::test]
async fn a_client_is_answered_with_everything_in_the_order_of_the_contract() {
    let server = Server::start().await;
    let created = server.ines().await;

    let (_, text) = server.get("/api/clients/INES?fullDetails=true").await;

    let expected = [
        r#"{"client":{"encodedKey":"K","state":"INACTIVE","id":"INES","creationDate":"creationDate","#,
        r#""lastModifiedDate":"creationDate","approvedDate":"creationDate","firstName":"Ines","#,
        r#""lastName":"Okafor","birthDate":"1990-04-17T00:00:00+0000","notes":"n","loanCycle":0,"#,
        r#""groupLoanCycle":0,"clientRole":{"encodedKey":""#,
        DEFAULT_ROLE,
        r#""},"preferredLanguage":"ENGLISH"},"customInformation":[{"encodedKey":"V0","parentKey":"K","#,
        r#""customFieldKey":"riskbandKey","customField":{"encodedKey":"riskbandKey","id":"risk_band","#,
        r#""name":"The risk_band","type":"CLIENT_INFO","dataType":"SELECTION","isRequired":false,"#,
        r#""state":"NORMAL","unique":false},"value":"LOW","indexInList":0,"customFieldID":"risk_band","#,
        r#""customFieldSetGroupIndex":-1},"#,
        r#"{"encodedKey":"V1","parentKey":"K","customFieldKey":"incomeKey","#,
        r#""customField":{"encodedKey":"incomeKey","id":"income","name":"The income","type":"CLIENT_INFO","#,
        r#""dataType":"NUMBER","isRequired":false,"state":"NORMAL","unique":false},"value":"1250.5","#,
        r#""indexInList":1,"customFieldID":"income","customFieldSetGroupIndex":-1},"#,
        r#"{"encodedKey":"V2","parentKey":"K","customFieldKey":"residentKey","#,
        r#""customField":{"encodedKey":"residentKey","id":"resident","name":"The resident","#,
        r#""type":"CLIENT_INFO","dataType":"CHECKBOX","isRequired":false,"state":"NORMAL","unique":false},"#,
        r#""value":"TRUE","indexInList":2,"customFieldID":"resident","customFieldSetGroupIndex":-1}],"#,
        r#""idDocuments":[{"encodedKey":"D0","clientKey":"K","documentType":"Passport","documentId":"X1","#,
        r#""validUntil":"2034-01-31T00:00:00+0000","indexInList":0},{"encodedKey":"D1","clientKey":"K","#,
        r#""documentType":"Licence","documentId":"X2","issuingAuthority":"Test Office","indexInList":1}],"#,
        r#""addresses":[{"encodedKey":"A0","parentKey":"K","line1":"1 Test Lane","city":"Exampleton","#,
        r#""latitude":52.5,"longitude":-1.25,"indexInList":0}],"groupKeys":[]}"#,
    ];
    let mut text = masked(&text, &created, &["/client/creationDate"]);
    for (pointer, name) in [
        ("/client/encodedKey", "K"),
        ("/customInformation/0/encodedKey", "V0"),
        ("/customInformation/1/encodedKey", "V1"),
        ("/customInformation/2/encodedKey", "V2"),
        ("/idDocuments/0/encodedKey", "D0"),
        ("/idDocuments/1/encodedKey", "D1"),
        ("/addresses/0/encodedKey", "A0"),
    ] {
        text = text.replace(created.pointer(pointer).and_then(Value::as_str).expect("a key"), name);
    }
    assert_eq!(text, expected.concat());

    let key = created["client"]["encodedKey"].as_str().expect("a key");
    let request = server.request(Method::GET, &format!("/api/clients/{key}/?limit=x"));
    let request = request
        .header(ACCEPT, "application/vnd.mambu.v1+json")
        .header(CONTENT_TYPE, "text/plain");
    let (status, text) = send(request).await;
    assert_eq!(
        (status, serde_json::from_str::<Value>(&text).ok()),
        (200, Some(created["client"].clone()))
    );
}

#[tokio::test]
async fn a_list_is_narrowed_and_paged() {
    let server = Server::start().await;
    server.ines().await;
    for last in ["Abara", "Bello", "abara"] {
        let client = json!({"firstName": "Ada", "lastName": last, "assignedBranchKey": "b1"});
        assert_eq!(server.post("/api/clients", json!({"client": client})).await.0, 200);
    }
    for (query, expected) in [
        ("", vec!["Okafor", "Abara", "Bello", "abara"]),
        ("?limit=2&offset=1&fullDetails=false", vec!["Abara", "Bello"]),
        ("?offset=99999999999999999999", vec![]),
        ("?firstName=Ada&lastName=abara", vec!["abara"]),
        ("?branchId=b1&lastName=Bello", vec!["Bello"]),
        ("?centreId=c1", vec![]),
        ("?idDocument=X2&birthDate=1990-04-17&state=INACTIVE", vec!["Okafor"]),
        ("?birthDate=1990-04-17T00:00:00%2B0000", vec!["Okafor"]),
        ("?state=ACTIVE", vec![]),
        ("?lastName=%00", vec![]),
    ] {
        let (status, text) = server.get(&format!("/api/clients{query}")).await;
        let list: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|_| panic!("a list, not {status} {text}"));
        let names: Vec<_> = list.iter().filter_map(|client| client["lastName"].as_str()).collect();
        assert_eq!(names, expected, "{query}");
    }
}

#[tokio::test]
async fn missing_clients_paths_and_methods_have_their_own_codes() {
    let server = Server::start().await;
    for (method, path, expected) in [
        (Method::GET, "/api/clients/nobody", (404, 301)),
        (Method::GET, "/api/clients/%FF", (404, 301)),
        (Method::GET, "/api/clients/a%00", (404, 301)),
        (Method::GET, "/api/clients/nobody?nickname=x", (400, 27)),
        (Method::GET, "/api/clients/nobody?fullDetails=perhaps", (400, 4)),
        (Method::GET, "/api/clients?nickname=x", (400, 27)),
        (Method::GET, "/api", (404, 3)),
        (Method::GET, "/api/", (404, 3)),
        (Method::POST, "/api/loans", (404, 3)),
        (Method::GET, "/api/clients/nobody/loans", (404, 3)),
        (Method::GET, "/api/clients//", (404, 301)),
        (Method::DELETE, "/api/clients", (405, 5)),
        (Method::PUT, "/api/clients/nobody", (405, 5)),
    ] {
        let (status, number, _) = refusal(&send(server.request(method.clone(), path)).await);
        assert_eq!((status, number), expected, "{method} {path}");
    }
    let response = server
        .request(Method::DELETE, "/api/clients")
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        response.headers().get(ALLOW).map(|value| value.as_bytes()),
        Some(&b"GET,HEAD,POST"[..])
    );
}

#[tokio::test]
async fn unreadable_bodies_have_their_own_codes() {
    let server = Server::with(RestSettings {
        body_bytes: 2000,
        ..RestSettings::default()
    })
    .await;
    let nested = format!(r#"{{"x":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
    let json = "application/json";
    let form = "application/x-www-form-urlencoded";
    for (path, media_type, body, expected) in [
        ("/api/clients", json, &b""[..], (400, 30)),
        ("/api/clients?firstName=A&lastName=B", json, b"", (400, 30)),
        ("/api/clients?firstName=A&lastName=B", form, b"", (400, 30)),
        ("/api/clients", "text/plain", b"{}", (400, 30)),
        ("/api/clients/x", form, b"firstName=A", (400, 30)),
        ("/api/clients?firstName=A", json, b"{}", (400, 27)),
        ("/api/clients?nickname=A", json, b"{}", (400, 27)),
        ("/api/clients?firstName=A", json, b"{", (400, 26)),
        ("/api/clients?limit=x&offset=1&fullDetails=1", json, b"{}", (400, 4)),
        ("/api/clients", form, b"{\"client\":1}", (400, 27)),
        ("/api/clients", form, b"firstName=\xE9", (400, 22)),
        ("/api/clients", json, b"{\"client\":\"\xE9\"}", (400, 22)),
        ("/api/clients", "application/json; charset=latin1", b"{}", (400, 22)),
        ("/api/clients", json, b"[]", (400, 26)),
        ("/api/clients", json, b"{} {}", (400, 26)),
        ("/api/clients", json, b"{\"a\":01}", (400, 26)),
        ("/api/clients", json, b"{\"a\":\"\x01\"}", (400, 26)),
        ("/api/clients", json, nested.as_bytes(), (400, 26)),
        ("/api/clients", json, &[b' '; 2001], (413, 4)),
        ("/api/clients", json, &[b' '; 2000], (400, 26)),
    ] {
        let answer = server.post_as(path, media_type, body.to_vec()).await;
        let (status, number, source) = refusal(&answer);
        assert_eq!((status, number), expected, "{path} {media_type} {source}");
    }
    let (_, _, source) = refusal(&server.post_as("/api/clients?firstName=A", json, "").await);
    assert_eq!(source, "There is no body: drop the Content-Type header, or send JSON.");
    assert_eq!(
        refusal(&send(server.request(Method::POST, "/api/clients/x?firstName=A")).await).1,
        30
    );
    assert_eq!(server.get("/api/clients").await.1, "[]");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_while_it_is_sent() {
    let server = Server::start().await;

    let answer = server
        .post_as("/api/clients", "application/json", vec![b' '; 3 << 20])
        .await;

    let source = "The body must have at most 1048576 bytes.".to_owned();
    assert_eq!(refusal(&answer), (413, 4, source));
}

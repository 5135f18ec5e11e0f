//! Ambiguous requests: smuggling, compressed bodies, duplicate members and parameters, and unknown paths.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use axum::body::Body;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::harness::program::Server;

const JSON: &str = "application/json; charset=utf-8";
const POST: &str = "POST /api/clients HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
const CLIENT: &str = r#"{"client":{"firstName":"Ines","lastName":"Okafor"}}"#;

fn address(server: &Server) -> &str {
    server.address.trim_start_matches("http://")
}

/// Sends bytes and returns the status of each answer, and the last body. The server must close the connection.
fn exchange(server: &Server, bytes: &[u8]) -> (Vec<u16>, String) {
    let mut stream = TcpStream::connect(address(server)).expect("connected");
    stream.write_all(bytes).expect("sent");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("answers and an end");
    let statuses = answers.split("HTTP/1.1 ").skip(1);
    let statuses = statuses.map(|answer| answer[..3].parse().expect("a status")).collect();
    let body = answers.rsplit_once("\r\n\r\n").map_or("", |(_, body)| body);
    (statuses, body.to_owned())
}

/// Sends a request: status, content type and body, without the id of the request.
async fn send(
    server: &Server,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, String, Value) {
    let client = Client::builder().no_proxy().build().expect("a client without options");
    let mut request = client.request(method, format!("{}{path}", server.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.body(body.to_owned()).send().await.expect("an answer");
    let status = response.status().as_u16();
    let content_type = response.headers().get("content-type");
    let content_type = content_type
        .map_or("", |value| value.to_str().expect("text"))
        .to_owned();
    let mut body = response.json().await.unwrap_or_default();
    for holder in ["", "/errors/0/extensions"] {
        if let Some(object) = Value::pointer_mut(&mut body, holder).and_then(Value::as_object_mut) {
            object.remove("requestId");
        }
    }
    (status, content_type, body)
}

async fn post(server: &Server, path: &str, body: &str) -> (u16, Value) {
    let (status, _, body) = send(
        server,
        Method::POST,
        path,
        &[("content-type", "application/json")],
        body,
    )
    .await;
    (status, body)
}

async fn clients(server: &Server) -> usize {
    let (_, _, body) = send(server, Method::GET, "/api/clients", &[], "").await;
    body.as_array().expect("a list").len()
}

#[tokio::test]
async fn smuggled_requests_are_never_answered() {
    let server = Server::open(&[]);
    let smuggled = "GET /health/live HTTP/1.1\nhost: localhost\r\n\r\n";
    let blanks = format!(
        "{POST}connection: close\r\ncontent-length:{}400\r\n\r\n",
        " ".repeat(47)
    );
    let body = format!("{}{smuggled}", "{".repeat(40));
    let blanks = format!("{blanks}{body}{}", " ".repeat(400 - body.len()));
    let chunked = format!("{POST}transfer-encoding: chunked\r\n\r\n");
    let length = CLIENT.len();
    for (case, request) in [
        ("blanks before a length", blanks),
        (
            "a size of many zeros",
            format!("{chunked}{}2\r\n{{}}\r\n0\r\n\r\n{smuggled}", "0".repeat(70)),
        ),
        (
            "a size with a blank",
            format!("{chunked}{length:x} \r\n{CLIENT}\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "a size that ends in LF",
            format!("{chunked}{length:x}\n{CLIENT}\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "a trailer that ends in LF",
            format!("{chunked}{length:x}\r\n{CLIENT}\r\n0\r\nx: y\n\r\n{smuggled}"),
        ),
        (
            "a length and chunks",
            format!("{POST}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "two codings",
            format!("{POST}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "a coding twice",
            format!("{POST}transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "two headers",
            format!("{POST}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "an unknown coding",
            format!("{POST}transfer-encoding: identity\r\n\r\n{smuggled}"),
        ),
        (
            "a parameter",
            format!("{POST}transfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "a folded header",
            format!("{POST}transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n{smuggled}"),
        ),
        (
            "HTTP/1.0",
            format!(
                "{}transfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}",
                POST.replace("1.1", "1.0")
            ),
        ),
    ] {
        assert_eq!(exchange(&server, request.as_bytes()).0, [400], "{case}");
    }
    assert_eq!(clients(&server).await, 0);

    let sound = format!(
        "{chunked}{length:X};x=y\r\n{CLIENT}\r\n0\r\nx: y\r\n\r\nGET /health/live HTTP/1.1\r\nhost: \
            localhost\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(
        exchange(&server, sound.as_bytes()),
        (vec![200, 200], "live\n".to_owned())
    );
    assert_eq!(clients(&server).await, 1);
}

#[tokio::test]
async fn unsound_chunks_are_named_as_the_reason() {
    let server = Server::open(&[]);
    let rest = format!(
        "{POST}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n{}1\r\n",
        "0".repeat(70)
    );
    let body = r#"{"returnCode":26,"returnStatus":"INVALID_JSON_SYNTAX","errorSource":"The body could not be read."}"#;
    assert_eq!(exchange(&server, rest.as_bytes()), (vec![400], body.to_owned()));
}

#[tokio::test]
async fn compressed_bodies_are_refused() {
    let server = Server::open(&[]);
    let sentence = "Send the body without compression: drop the Content-Encoding header.";
    let rest = json!({ "returnCode": 30, "returnStatus": "MISSING_ENTITY_JSON", "errorSource": sentence });
    let graphql = json!({ "errors": [{ "message": sentence, "extensions": { "code": "BAD_REQUEST" } }] });
    let json = ("content-type", "application/json");
    for encoding in ["gzip", "br", "identity, gzip", "x"] {
        for (path, body, refusal) in [
            ("/api/clients", CLIENT, &rest),
            ("/graphql", r#"{"query":"{__typename}"}"#, &graphql),
        ] {
            let headers = [json, ("content-encoding", encoding)];
            let answer = send(&server, Method::POST, path, &headers, body).await;
            assert_eq!(answer, (415, JSON.to_owned(), refusal.clone()), "{path} {encoding}");
        }
    }
    // HTTP/2 has no Transfer-Encoding, and the same Content-Encoding.
    let stream = tokio::net::TcpStream::connect(address(&server))
        .await
        .expect("connected");
    let (mut http2, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    let connection = tokio::spawn(connection);
    for path in ["/api/clients", "/graphql"] {
        let request = hyper::Request::post(format!("http://localhost{path}"));
        let request = request
            .header("content-type", "application/json")
            .header("content-encoding", "gzip");
        let response = http2
            .send_request(request.body(Body::from("{}")).expect("a request"))
            .await;
        assert_eq!(response.expect("an answer").status(), 415, "{path}");
    }
    connection.abort();
    assert_eq!(clients(&server).await, 0);

    let headers = [json, ("content-encoding", "identity")];
    assert_eq!(
        send(&server, Method::POST, "/api/clients", &headers, CLIENT).await.0,
        200
    );
}

#[tokio::test]
async fn duplicate_members_are_refused_with_their_path() {
    let server = Server::open(&[]);
    for (body, path) in [
        (
            r#"{"client":{"firstName":"A","lastName":"B"},"idDocuments":[{"documentType":"P","documentId":"1"}],
                "idDocuments":[]}"#,
            "idDocuments",
        ),
        (
            r#"{"client":{"firstName":"A","lastName":"B","\u0066irstName":"C"}}"#,
            "client.firstName",
        ),
        (
            r#"{"client":{"firstName":"A","lastName":"B"},"addresses":[{"city":"A"},{"city":"A","city":"B"}]}"#,
            "addresses[1].city",
        ),
        (
            r#"{"client":{"firstName":"A","lastName":"B","other":{"a":[{"b":1,"b":1}]}}}"#,
            "client.other.a[0].b",
        ),
    ] {
        let source = format!("{path}: the member is given twice. Send it once.");
        let refused = json!({ "returnCode": 26, "returnStatus": "INVALID_JSON_SYNTAX", "errorSource": source });
        assert_eq!(post(&server, "/api/clients", body).await, (400, refused));
    }
    let upsert = "mutation($i: UpsertClientInput!) { upsertClient(input: $i) { created } }";
    let client = r#""client":{"firstName":"A","lastName":"B"}"#;
    for (body, shown, path) in [
        (
            r#"{"query":"{__typename}","query":"{__typename}"}"#.to_owned(),
            "query",
            json!(["query"]),
        ),
        (
            r#"{"query":"{__typename}","variables":{},"\u0076ariables":{}}"#.to_owned(),
            "variables",
            json!(["variables"]),
        ),
        (
            r#"{"query":"{__typename}","operationName":null,"operationName":null}"#.to_owned(),
            "operationName",
            json!(["operationName"]),
        ),
        (
            r#"{"query":"{__typename}","extensions":{"persistedQuery":{"version":1,"version":1}}}"#.to_owned(),
            "extensions.persistedQuery.version",
            json!(["extensions", "persistedQuery", "version"]),
        ),
        (
            format!(
                r#"{{"query":"{upsert}","variables":{{"i":{{{client},"addresses":[{{"city":"A"}}],"addresses":[]}}}}}}"#
            ),
            "variables.i.addresses",
            json!(["i", "addresses"]),
        ),
        (
            format!(
                r#"{{"query":"{upsert}","variables":{{"i":{{{client},
                    "addresses":[{{}},{{"city":"A","\u0063ity":"B"}}]}}}}}}"#
            ),
            "variables.i.addresses[1].city",
            json!(["i", "addresses", 1, "city"]),
        ),
    ] {
        let message = format!("\"{shown}\" is given twice. Send each member of an object once.");
        let extensions = json!({ "code": "BAD_REQUEST", "path": path });
        let refused = json!({ "errors": [{ "message": message, "extensions": extensions }] });
        assert_eq!(post(&server, "/graphql", &body).await, (400, refused));
    }
    for (query, shown, path) in [
        ("query={__typename}&query={a:__typename}", "query", json!(["query"])),
        (
            "query={__typename}&variables={\"a\":1,\"a\":2}",
            "variables.a",
            json!(["a"]),
        ),
    ] {
        let message = format!("\"{shown}\" is given twice. Send each member of an object once.");
        let extensions = json!({ "code": "BAD_REQUEST", "path": path });
        let refused = json!({ "errors": [{ "message": message, "extensions": extensions }] });
        let answer = send(&server, Method::GET, &format!("/graphql?{query}"), &[], "").await;
        assert_eq!((answer.0, answer.2), (400, refused));
    }
    assert_eq!(clients(&server).await, 0);
}

#[tokio::test]
async fn duplicate_parameters_are_refused_with_their_name() {
    let server = Server::open(&[]);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    for (method, path, headers, body, name) in [
        (
            Method::POST,
            "/api/clients?firstName=a&firstName=b&lastName=c",
            &[][..],
            "",
            "firstName",
        ),
        (
            Method::POST,
            "/api/clients?firstName=a",
            &form,
            "lastName=b&firstName=c",
            "firstName",
        ),
        (
            Method::POST,
            "/api/clients?email=a%40b.test&emailAddress=a%40b.test",
            &[],
            "",
            "emailAddress",
        ),
        (
            Method::GET,
            "/api/clients?firstName=a&firstName=b",
            &[],
            "",
            "firstName",
        ),
        (Method::GET, "/api/clients?limit=1&limit=1", &[], "", "limit"),
        (
            Method::GET,
            "/api/clients/x?fullDetails=true&fullDetails=false",
            &[],
            "",
            "fullDetails",
        ),
    ] {
        let source = format!("{name} is given twice.");
        let refused = json!({ "returnCode": 27, "returnStatus": "PARAMETER_NOT_ALLOWED", "errorSource": source });
        let answer = send(&server, method, path, headers, body).await;
        assert_eq!((answer.0, answer.2), (400, refused), "{path}");
    }
    assert_eq!(clients(&server).await, 0);
}

#[tokio::test]
async fn byte_order_mark_before_json_is_ignored() {
    let server = Server::open(&[]);
    let (status, client) = post(&server, "/api/clients", &format!("\u{feff}{CLIENT}")).await;
    assert_eq!((status, &client["client"]["firstName"]), (200, &json!("Ines")));
    let answer = post(&server, "/graphql", "\u{feff}{\"query\":\"{ __typename }\"}").await;
    assert_eq!(answer, (200, json!({ "data": { "__typename": "Query" } })));
    let twice = post(&server, "/graphql", "\u{feff}\u{feff}{\"query\":\"{ __typename }\"}").await;
    assert_eq!(twice.0, 400);
}

#[tokio::test]
async fn trailing_slash_of_graphql_and_playground_is_accepted() {
    let server = Server::open(&[]);
    let answer = (200, json!({ "data": { "__typename": "Query" } }));
    assert_eq!(
        post(&server, "/graphql/", r#"{"query":"{ __typename }"}"#).await,
        answer
    );
    let (status, _, body) = send(&server, Method::GET, "/graphql/?query={__typename}", &[], "").await;
    assert_eq!((status, body), answer);
    let (status, content_type, _) = send(&server, Method::GET, "/playground/", &[], "").await;
    assert_eq!((status, content_type.as_str()), (200, "text/html; charset=utf-8"));
}

#[tokio::test]
async fn unknown_paths_and_methods_are_answered_in_json() {
    let server = Server::open(&[]);
    let message = "There is no such path. GraphQL is at /graphql, the REST API at /api/clients.";
    let unknown = (404, JSON.to_owned(), json!({ "code": "NOT_FOUND", "message": message }));
    for path in ["/nowhere", "/graphql/x", "/playground/assets/x", "/metrics/", "/apis"] {
        assert_eq!(send(&server, Method::GET, path, &[], "").await, unknown, "{path}");
    }
    let message = "This path does not have this method. The Allow header names those it has.";
    let wrong = (
        405,
        JSON.to_owned(),
        json!({ "code": "METHOD_NOT_ALLOWED", "message": message }),
    );
    for (method, path) in [
        (Method::DELETE, "/health/live"),
        (Method::POST, "/playground"),
        (Method::PUT, "/metrics"),
    ] {
        assert_eq!(send(&server, method, path, &[], "").await, wrong, "{path}");
    }
}

//! Spans and lines of requests and statements.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{PARENT, TRACE, events, exporting, logging, requests, store_client, traceparent};
use crate::harness::{
    TestServer,
    graphql::define_template,
    net,
    peers::{
        Collecting, CollectorPeer,
        collector::{Export, SeenSpan, lines, resource, spans},
    },
    program::{Server, clientele, directory, text},
};

const REQUEST_ID: &str = "0190a5c5-9ec6-7c4e-a3a4-0dc4d5a7a1f0";

on_both!(
    request_and_its_statements_are_spans_of_the_callers_trace,
    exports_hold_no_personal_data,
    failed_statement_and_request_are_marked,
    recipient_of_a_logged_message_is_not_exported,
);

fn object(attributes: &BTreeMap<String, Value>) -> Value {
    json!(attributes)
}

/// The span that has this name.
fn named<'s>(spans: &'s [SeenSpan], name: &str) -> &'s SeenSpan {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    assert_eq!(found.len(), 1, "{name}: {spans:#?}");
    found[0]
}

async fn request_and_its_statements_are_spans_of_the_callers_trace(server: &TestServer) {
    let collector = CollectorPeer::start(Collecting::Accept).await;
    let program = exporting(&server.database_url(), &collector, &[]);
    let headers = [("traceparent", &*traceparent("01")), ("x-request-id", REQUEST_ID)];
    store_client(&program, &headers).await;
    program.signal("TERM");
    let (log, code) = program.wait();
    assert_eq!(code, Some(0));

    let exports = collector.exports();
    let is_protobuf = |headers: &axum::http::HeaderMap| headers["content-type"] == "application/x-protobuf";
    assert!(exports.iter().all(|export| is_protobuf(&export.headers)));
    let resource = resource(&exports);
    assert_eq!(resource["service.name"], "clientele");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["service.instance.id"].as_str().map(str::len), Some(36));

    let spans = spans(&exports);
    let request = named(&spans, "POST /graphql");
    assert_eq!((&*request.trace, request.parent.as_deref()), (TRACE, Some(PARENT)));
    assert_eq!((request.kind, request.is_failed), (2, false));
    let lines_of_requests = requests(&log);
    assert_eq!(lines_of_requests.len(), 1, "{log}");
    let line = &lines_of_requests[0];
    assert_eq!(
        object(&request.attributes),
        json!({
            "http.request.method": "POST",
            "http.route": "/graphql",
            "http.response.status_code": 200,
            "http.request.body.size": line["request_bytes"],
            "http.response.body.size": line["response_bytes"],
            "network.protocol.version": "1.1",
            "request.id": REQUEST_ID,
            "caller.kind": "ANYONE",
            "graphql.operation.type": "mutation",
            "graphql.operation.name": "StoreClient",
        })
    );
    assert!(line["request_bytes"].as_u64() > Some(300), "{line}");
    assert!(line["response_bytes"].as_u64() > Some(60), "{line}");

    let statements: Vec<_> = spans.iter().filter(|span| span.span != request.span).collect();
    let system = match server.database_url().starts_with("sqlite:") {
        true => "sqlite",
        false => "postgresql",
    };
    for statement in &statements {
        assert_eq!(statement.trace, TRACE, "{statement:?}");
        assert_eq!(statement.parent.as_ref(), Some(&request.span), "{statement:?}");
        assert_eq!((statement.kind, statement.is_failed), (3, false), "{statement:?}");
        assert!(
            request.start <= statement.start && statement.start <= statement.end,
            "{statement:?}"
        );
        assert!(statement.end <= request.end, "{statement:?} {request:?}");
        assert_eq!(
            object(&statement.attributes),
            json!({ "db.system.name": system, "db.query.summary": statement.name })
        );
    }
    let names: BTreeSet<&str> = statements.iter().map(|statement| &*statement.name).collect();
    let begin = ["BEGIN", "COMMIT"];
    assert!(begin.iter().all(|name| names.contains(name)), "{names:?}");
    assert!(names.iter().any(|name| name.contains("INSERT client")), "{names:?}");

    // The same line is on standard error and exported, with the ids of the span.
    let exported = lines(&exports);
    let bodies: Vec<&str> = exported.iter().map(|line| &*line.body).collect();
    assert!(bodies.contains(&"listening"), "{bodies:?}");
    let of_request: Vec<_> = exported.iter().filter(|line| line.body == "request").collect();
    assert_eq!(of_request.len(), 1, "{exported:?}");
    let of_request = of_request[0];
    assert_eq!(of_request.severity, "INFO");
    assert_eq!(
        (of_request.trace.as_deref(), of_request.span.as_ref()),
        (Some(TRACE), Some(&request.span))
    );
    let without = |line: &Value, names: &[&str]| {
        let mut line = line.clone();
        line.as_object_mut()
            .expect("an object")
            .retain(|name, _| !names.contains(&&**name));
        line
    };
    let written = without(line, &["timestamp", "level", "message"]);
    assert_eq!(object(&of_request.attributes), written);
    assert!(line["microseconds"].is_u64(), "{line}");
    assert_eq!(
        without(&written, &["microseconds", "request_bytes", "response_bytes"]),
        json!({
            "target": "http_server::request_log", "method": "POST", "route": "/graphql", "operation": "mutation",
            "operation_name": "StoreClient", "status": 200, "request_id": REQUEST_ID, "trace_id": TRACE,
            "caller": "ANYONE", "address": "127.0.0.1",
        })
    );
}

async fn exports_hold_no_personal_data(server: &TestServer) {
    let collector = CollectorPeer::start(Collecting::Accept).await;
    let program = exporting(
        &server.database_url(),
        &collector,
        &[("CLIENTELE_LOG__FILTER", "trace")],
    );
    let headers = [
        ("traceparent", &*traceparent("01")),
        ("tracestate", "bank=Okafor,trevor=7899221665"),
    ];
    let client = store_client(&program, &headers).await;
    let (id, key) = (
        client["clientId"].as_str().expect("an id"),
        client["encodedKey"].as_str().expect("a key"),
    );
    let http = reqwest::Client::new();
    let graphql = |query: &str| {
        let request = http.post(format!("{}/graphql?name=Okafor", program.address));
        request.json(&json!({ "query": query }))
    };
    for (request, status) in [
        (
            graphql("query Client4155550101 { clients(search: \"Okafor\") { nodes { lastName } } }"),
            200,
        ),
        (
            graphql("query FindOkafor { clients(filter: { lastNameStartsWith: \"Okafor\" }) { nodes { lastName } } }"),
            200,
        ),
        (graphql("{ Okafor }"), 400),
        (
            http.get(format!("{}/api/clients/{id}?fullDetails=true", program.address)),
            200,
        ),
        (http.get(format!("{}/api/clients/{key}", program.address)), 200),
        (http.get(format!("{}/Okafor/{key}", program.address)), 404),
        (
            http.request(
                "OKAFOR".parse().expect("a method"),
                format!("{}/graphql", program.address),
            ),
            405,
        ),
    ] {
        let request = request
            .header("user-agent", "Okafor")
            .header("accept", "application/graphql-response+json, */*");
        let answer = request.send().await.expect("an answer");
        let (url, found) = (answer.url().clone(), answer.status());
        assert_eq!(found, status, "{url}: {:?}", answer.text().await);
    }
    program.signal("TERM");
    let (_, code) = program.wait();
    assert_eq!(code, Some(0));
    let exports = collector.exports();
    let (spans, lines) = (spans(&exports), lines(&exports));
    let of_requests: Vec<&str> = spans
        .iter()
        .filter(|span| span.kind == 2)
        .map(|span| &*span.name)
        .collect();
    assert_eq!(
        of_requests,
        [
            "POST /graphql",
            "POST /graphql",
            "POST /graphql",
            "POST /graphql",
            "GET /api/clients/{id}",
            "GET /api/clients/{id}",
            "GET",
            "_OTHER /graphql",
        ]
    );
    // The method is the one text that the log has as it was sent.
    let lines: Vec<_> = lines
        .into_iter()
        .filter(|line| line.attributes.get("method") != Some(&json!("OKAFOR")))
        .collect();
    let shown = format!("{spans:?} {lines:?}");
    // An operation's name is the caller's, if it is one of a program.
    let shown = shown.replace("\"FindOkafor\"", "");
    assert_eq!(net::planted(&shown), None);
    for marker in [id, key, "Okafor", "4155550101", "7899221665", "Bellweather"] {
        assert!(!shown.contains(marker), "{marker}");
    }
    let bodies = exports.iter().filter(|export| export.path == "/v1/traces");
    for body in bodies.map(|export| String::from_utf8_lossy(&export.body).replace("FindOkafor", "")) {
        for marker in [
            id,
            key,
            "Okafor",
            "4155550101",
            "7899221665",
            "Bellweather",
            "tracestate",
        ] {
            assert!(!body.contains(marker), "{marker}");
        }
    }
}

async fn recipient_of_a_logged_message_is_not_exported(server: &TestServer) {
    let variant = json!({ "language": "ENGLISH", "subject": "Hello", "text": "Dear {CLIENT_NAME}" });
    let template = json!({ "templateId": "hello", "name": "hello", "event": "CLIENT_CREATED", "channel": "EMAIL",
        "variants": [variant] });
    define_template(server, template).await;
    let collector = CollectorPeer::start(Collecting::Accept).await;
    let program = exporting(&server.database_url(), &collector, &[]);
    store_client(&program, &[]).await;
    let logged = "a message that no channel sends";
    let is_logged = |exports: &[Export]| lines(exports).iter().any(|line| line.body == logged);
    let exports = collector.until(is_logged).await;
    program.signal("TERM");
    let (log, _) = program.wait();
    let written: Vec<_> = events(&log)
        .into_iter()
        .filter(|event| event["message"] == logged)
        .collect();
    assert_eq!(written.len(), 1, "{log}");
    assert_eq!(written[0]["recipient"], "t***@***.test");
    let line = lines(&exports).into_iter().find(|line| line.body == logged);
    assert_eq!(
        object(&line.expect("it is exported").attributes),
        json!({ "target": "clientele_delivery::channel::log", "channel": "EMAIL", "key": written[0]["key"] })
    );
}

async fn failed_statement_and_request_are_marked(server: &TestServer) {
    let collector = CollectorPeer::start(Collecting::Accept).await;
    let program = exporting(&server.database_url(), &collector, &[]);
    server
        .write("ALTER TABLE client RENAME TO client_of_before")
        .await
        .expect("it runs");
    let answer = reqwest::get(format!("{}/api/clients", program.address)).await;
    assert_eq!(answer.expect("an answer").status(), 500);
    program.signal("TERM");
    program.wait();
    let spans = spans(&collector.exports());
    let request = named(&spans, "GET /api/clients");
    assert!(request.is_failed && request.parent.is_none(), "{request:?}");
    assert_eq!(request.attributes["http.response.status_code"], 500);
    assert_eq!(request.attributes["error.type"], "INTERNAL_ERROR");
    let failed: Vec<_> = spans.iter().filter(|span| span.kind == 3 && span.is_failed).collect();
    assert_eq!(failed.len(), 1, "{spans:#?}");
    assert!(failed[0].name.contains("client"), "{:?}", failed[0]);
    assert_eq!(failed[0].parent.as_ref(), Some(&request.span));
}

/// The trace ids of the lines of these requests, each with some headers.
async fn trace_ids(environment: &[(&str, &str)], headers: &[&[(&str, &str)]]) -> (Vec<Value>, String) {
    let folder = directory();
    let url = format!("sqlite:{}", folder.path().join("clientele.db").display());
    let program = logging(&url, environment);
    for headers in headers {
        let mut request = reqwest::Client::new().get(format!("{}/api/clients", program.address));
        for (name, value) in *headers {
            request = request.header(*name, *value);
        }
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    }
    program.signal("TERM");
    let (log, _) = program.wait();
    let ids = requests(&log).iter().map(|line| line["trace_id"].clone()).collect();
    (ids, log)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn line_has_the_callers_trace_also_without_a_collector() {
    let valid = traceparent("00");
    let (ids, log) = trace_ids(&[], &[&[("traceparent", &valid)], &[], &[("traceparent", "00-x")]]).await;
    assert_eq!(ids, [json!(TRACE), Value::Null, Value::Null]);
    let lines = requests(&log);
    let mut members: Vec<&str> = lines[1]
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    members.sort_unstable();
    assert_eq!(
        members,
        [
            "address",
            "caller",
            "level",
            "message",
            "method",
            "microseconds",
            "request_bytes",
            "request_id",
            "response_bytes",
            "route",
            "status",
            "target",
            "timestamp"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_trace_context_begins_a_new_trace() {
    let collector = CollectorPeer::start(Collecting::Accept).await;
    let endpoint = collector.endpoint();
    let (valid, upper) = (traceparent("01"), traceparent("01").to_uppercase());
    let later = format!("01-{TRACE}-{PARENT}-01-more");
    let (ids, log) = trace_ids(
        &[("CLIENTELE_TELEMETRY__OTLP_ENDPOINT", &endpoint)],
        &[
            &[("traceparent", &valid), ("tracestate", "a=b")],
            &[("traceparent", &later)],
            &[("traceparent", &upper)],
            &[("traceparent", &valid), ("traceparent", &valid)],
            &[("tracestate", "a=b")],
            &[("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01")],
        ],
    )
    .await;
    let is_id = |id: &Value| {
        id.as_str()
            .is_some_and(|id| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    assert!(ids.iter().all(is_id), "{log}");
    let distinct: BTreeSet<String> = ids.iter().map(Value::to_string).collect();
    assert_eq!((&ids[0], &ids[1], distinct.len()), (&json!(TRACE), &json!(TRACE), 5));
    let spans = spans(&collector.exports());
    let of_requests = spans.iter().filter(|span| span.kind == 2);
    let parents: Vec<Option<&str>> = of_requests.map(|span| span.parent.as_deref()).collect();
    assert_eq!(parents, [Some(PARENT), Some(PARENT), None, None, None, None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_decide_about_their_traces_and_the_ratio_about_others() {
    for (ratio, traces, exported) in [("0", "true", &[Some(PARENT)][..]), ("1", "false", &[])] {
        let collector = CollectorPeer::start(Collecting::Accept).await;
        let endpoint = collector.endpoint();
        let (sampled, unsampled) = (traceparent("01"), traceparent("00"));
        let (ids, _) = trace_ids(
            &[
                ("CLIENTELE_TELEMETRY__OTLP_ENDPOINT", &endpoint),
                ("CLIENTELE_TELEMETRY__SAMPLING_RATIO", ratio),
                ("CLIENTELE_TELEMETRY__TRACES", traces),
            ],
            &[&[("traceparent", &sampled)], &[("traceparent", &unsampled)], &[]],
        )
        .await;
        assert!(ids.iter().all(Value::is_string), "lines have trace ids anyway: {ids:?}");
        let exports = collector.exports();
        let spans = spans(&exports);
        let of_requests = spans.iter().filter(|span| span.kind == 2);
        let parents: Vec<Option<&str>> = of_requests.map(|span| span.parent.as_deref()).collect();
        assert_eq!(parents, exported, "{ratio} {traces}");
        assert_eq!(lines(&exports).iter().filter(|line| line.body == "request").count(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_authenticated_callers_have_their_traces_recorded() {
    let collector = CollectorPeer::start(Collecting::Accept).await;
    let endpoint = collector.endpoint();
    let folder = directory();
    let run = |arguments: &[&str]| {
        let output = clientele(&folder, arguments, &[]).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        text(output.stdout)
    };
    run(&["migrate"]);
    let token = run(&["token", "create", "job", "--permissions", "ALL"]);
    let token = token.trim();
    let program = Server::start_in(
        folder,
        &[
            ("CLIENTELE_TELEMETRY__OTLP_ENDPOINT", &endpoint),
            ("CLIENTELE_TELEMETRY__SAMPLING_RATIO", "0"),
            ("CLIENTELE_AUTHENTICATION__PUBLIC_METRICS", "true"),
        ],
    );
    let sampled = traceparent("01");
    let http = reqwest::Client::new();
    let get = |path: &str| http.get(format!("{}{path}", program.address));
    let sign_in = "mutation { signIn(input: { name: \"admin\", password: \"wrong\" }) { userErrors { code } } }";
    for (request, status) in [
        (get("/health/live"), 200),
        (get("/health/ready"), 200),
        (get("/metrics"), 200),
        (get("/metrics").bearer_auth(token), 200),
        (get("/none"), 404),
        (get("/api/clients"), 401),
        (get("/api/clients").basic_auth("admin", Some("wrong")), 401),
        (get("/api/clients").bearer_auth("clt_wrong"), 401),
        (
            http.post(format!("{}/graphql", program.address))
                .json(&json!({ "query": sign_in })),
            200,
        ),
        (get("/api/clients").bearer_auth(token), 200),
    ] {
        let answer = request.header("traceparent", &sampled).send().await.expect("an answer");
        let (url, found) = (answer.url().clone(), answer.status());
        assert_eq!(found, status, "{url}: {:?}", answer.text().await);
    }
    let unsampled = get("/api/clients").bearer_auth(token);
    let answer = unsampled.header("traceparent", traceparent("00")).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
    program.signal("TERM");
    program.wait();
    let spans = spans(&collector.exports());
    let request = named(&spans, "GET /api/clients");
    assert_eq!((&*request.trace, request.parent.as_deref()), (TRACE, Some(PARENT)));
    let others: Vec<_> = spans.iter().filter(|span| span.span != request.span).collect();
    assert!(!others.is_empty(), "the statements after the authentication");
    for other in others {
        assert_eq!(
            (&other.parent, other.kind),
            (&Some(request.span.clone()), 3),
            "{other:?}"
        );
        assert!(!other.name.contains("token"), "{other:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn probes_and_scrapes_have_no_span() {
    let collector = CollectorPeer::start(Collecting::Accept).await;
    let folder = directory();
    let url = format!("sqlite:{}", folder.path().join("clientele.db").display());
    let program = exporting(&url, &collector, &[]);
    for path in ["/health/live", "/health/ready", "/metrics", "/api/clients"] {
        let answer = reqwest::get(format!("{}{path}", program.address)).await;
        assert_eq!(answer.expect("an answer").status(), 200, "{path}");
    }
    program.signal("TERM");
    program.wait();
    let spans = spans(&collector.exports());
    let of_requests = spans.iter().filter(|span| span.kind == 2);
    let names: Vec<&str> = of_requests.map(|span| &*span.name).collect();
    assert_eq!(names, ["GET /api/clients"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_can_stay_here() {
    let collector = CollectorPeer::start(Collecting::Accept).await;
    let endpoint = collector.endpoint();
    let (_, log) = trace_ids(
        &[
            ("CLIENTELE_TELEMETRY__OTLP_ENDPOINT", &endpoint),
            ("CLIENTELE_TELEMETRY__LOGS", "false"),
        ],
        &[&[]],
    )
    .await;
    let exports = collector.exports();
    assert_eq!((lines(&exports), spans(&exports).is_empty()), (Vec::new(), false));
    assert_eq!(
        events(&log)
            .iter()
            .filter(|event| event["message"] == "request")
            .count(),
        1
    );
}

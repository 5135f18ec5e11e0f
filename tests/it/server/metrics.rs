//! `/metrics` of a started server: counters, formats, permissions, and answers without the database.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, UnixStream},
};

use crate::harness::{
    TestServer,
    program::{Server, clientele, directory},
};

const PASSWORD: &str = "correct horse battery";

/// Adds a user with these permissions to the database of a directory.
fn add_user(directory: &TempDir, environment: &[(&str, &str)], name: &str, permissions: &str) {
    let arguments = ["user", "add", name, "--permissions", permissions];
    let mut child = clientele(directory, &arguments, environment)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(format!("{PASSWORD}\n").as_bytes()).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{output:?}");
}

/// A server with one user, `boss`, with all permissions.
fn start(environment: &[(&str, &str)]) -> Server {
    let directory = directory();
    add_user(&directory, environment, "boss", "ALL");
    Server::start_in(directory, environment)
}

fn ask(server: &Server, method: Method, path: &str) -> RequestBuilder {
    let request = Client::new().request(method, format!("{}{path}", server.address));
    request.basic_auth("boss", Some(PASSWORD))
}

async fn send(request: RequestBuilder) -> Response {
    request.send().await.expect("an answer")
}

async fn graphql(server: &Server, query: &str) -> u16 {
    let request = ask(server, Method::POST, "/graphql").json(&json!({ "query": query }));
    send(request).await.status().as_u16()
}

async fn page(server: &Server) -> String {
    let answer = send(ask(server, Method::GET, "/metrics")).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    answer.text().await.expect("text")
}

/// The non-zero samples of a page with one of these prefixes, without buckets and sums of durations.
fn counted<'a>(page: &'a str, beginnings: &[&str]) -> BTreeSet<&'a str> {
    let counts = |line: &&str| {
        let (name, value) = line.rsplit_once(' ').unwrap_or_default();
        let is_time = ["_bucket{", "_sum{"].iter().any(|part| name.contains(part));
        value != "0" && !is_time && beginnings.iter().any(|beginning| name.starts_with(beginning))
    };
    page.lines().filter(counts).collect()
}

/// Name, type and labels of every metric of a page in Prometheus' format.
fn described(page: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut all: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for line in page.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            all.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((name, rest)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let suffixes = ["_bucket", "_sum", "_count"];
            let family = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
            let family = family.filter(|family| all.contains_key(*family)).unwrap_or(name);
            let (labels, _) = rest.rsplit_once('}').expect("labels end");
            let (_, known) = all.get_mut(family).expect("a type stands before its samples");
            let names = labels.split("\",").filter_map(|label| label.split_once("=\""));
            known.extend(names.map(|(name, _)| name.to_owned()).filter(|name| name != "le"));
        }
    }
    all
}

fn promtool(page: &str) {
    let child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "with CI=true promtool must be installed: it comes with Debian's package prometheus"
        );
        let _ = writeln!(std::io::stderr(), "left out: promtool isn't installed");
        return;
    };
    let mut input = child.stdin.take().expect("piped");
    input.write_all(page.as_bytes()).expect("written");
    drop(input);
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[tokio::test]
async fn metrics_match_the_documentation_in_both_formats() {
    let server = start(&[]);
    for query in [
        "{ clients { totalCount } }",
        "mutation { upsertClient(input: { client: {} }) { created } }",
    ] {
        graphql(&server, query).await;
    }
    let many: Vec<String> = (0..300).map(|at| format!("a{at}: __typename")).collect();
    graphql(&server, &format!("{{ {} }}", many.join(" "))).await;
    let page = page(&server).await;
    promtool(&page);

    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md"));
    let text = text.expect("the page is text");
    let mut documented = BTreeMap::new();
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [name, kind, labels, _] = cells[..] else {
            panic!("four cells: {row}")
        };
        let labels = labels.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        documented.insert(name.trim_matches('`').to_owned(), (kind.to_owned(), labels));
    }
    // Only where keys are fetched.
    for name in ["clientele_issuer_up", "clientele_issuer_keys_age_seconds"] {
        assert_eq!(documented.remove(name), Some(("gauge".to_owned(), BTreeSet::new())));
    }
    // Only where there are replicas.
    for (name, kind, labels) in [
        ("clientele_database_replica_serving", "gauge", &["replica"][..]),
        ("clientele_database_replica_statements_total", "counter", &["replica"]),
        ("clientele_database_replica_fallbacks_total", "counter", &[]),
    ] {
        let labels = labels.iter().map(ToString::to_string).collect();
        assert_eq!(documented.remove(name), Some((kind.to_owned(), labels)));
    }
    assert_eq!(described(&page), documented);

    let open_metrics =
        ask(&server, Method::GET, "/metrics").header("accept", "application/openmetrics-text; version=1.0.0");
    let answer = send(open_metrics).await;
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(answer.headers()["content-type"], content_type);
    let text = answer.text().await.expect("text");
    assert!(
        text.ends_with("\n# EOF\n") && text.contains("\n# TYPE clientele_errors counter\n"),
        "{text}"
    );
}

on_both!(requests_errors_refusals_and_sign_ins_are_counted);

async fn requests_errors_refusals_and_sign_ins_are_counted(server: &TestServer) {
    let url = server.database_url();
    let server = start(&[("DATABASE_URL", &*url)]);
    graphql(&server, "{ clients { totalCount } }").await;
    graphql(
        &server,
        "mutation { upsertClient(input: { client: { firstName: \"\", lastName: \"\" } }) { created } }",
    )
    .await;
    graphql(
        &server,
        "mutation { upsertClient(input: { client: { firstName: \"I\", lastName: \"O\" } }) { created } }",
    )
    .await;
    graphql(&server, "{ nothing }").await;
    for (method, path) in [
        (Method::GET, "/api/clients"),
        (Method::GET, "/api/clients/absent/"),
        (Method::PATCH, "/api/clients"),
        (Method::GET, "/nowhere"),
    ] {
        send(ask(&server, method, path)).await;
    }
    let large = ask(&server, Method::POST, "/api/clients").body(vec![b' '; 2 << 20]);
    send(large.header("content-type", "application/json")).await;
    let http = Client::new();
    send(http.get(format!("{}/api/clients", server.address))).await;
    send(
        http.get(format!("{}/api/clients", server.address))
            .bearer_auth("clt_none"),
    )
    .await;

    let page = page(&server).await;
    let beginnings = [
        "clientele_request_seconds",
        "clientele_errors_total",
        "clientele_user_errors_total",
        "clientele_refused_total",
        "clientele_sign_ins_total",
        "clientele_database_up",
        "clientele_requests_",
        "clientele_audit_records_total",
        "clientele_database_connections_waiting",
        "clientele_database_commit_failures_total",
    ];
    let expected = BTreeSet::from([
        "clientele_audit_records_total 1",
        "clientele_database_up 1",
        "clientele_errors_total{api=\"graphql\",code=\"GRAPHQL_VALIDATION_FAILED\"} 1",
        "clientele_errors_total{api=\"rest\",code=\"INVALID_BASIC_AUTHORIZATION\"} 1",
        "clientele_errors_total{api=\"rest\",code=\"INVALID_CLIENT_ID\"} 1",
        "clientele_errors_total{api=\"rest\",code=\"INVALID_CREDENTIALS\"} 1",
        "clientele_errors_total{api=\"rest\",code=\"INVALID_PARAMETERS\"} 1",
        "clientele_errors_total{api=\"rest\",code=\"METHOD_NOT_IMPLEMENTED\"} 1",
        "clientele_refused_total{reason=\"body_size\"} 1",
        "clientele_request_seconds_count{api=\"graphql\",operation=\"mutation\",status=\"200\"} 2",
        "clientele_request_seconds_count{api=\"graphql\",operation=\"none\",status=\"200\"} 1",
        "clientele_request_seconds_count{api=\"graphql\",operation=\"query\",status=\"200\"} 1",
        "clientele_request_seconds_count{api=\"none\",operation=\"none\",status=\"404\"} 1",
        "clientele_request_seconds_count{api=\"rest\",operation=\"GET /api/clients\",status=\"200\"} 1",
        "clientele_request_seconds_count{api=\"rest\",operation=\"GET /api/clients\",status=\"401\"} 2",
        "clientele_request_seconds_count{api=\"rest\",operation=\"GET /api/clients/{id}\",status=\"404\"} 1",
        "clientele_request_seconds_count{api=\"rest\",operation=\"POST /api/clients\",status=\"413\"} 1",
        "clientele_request_seconds_count{api=\"rest\",operation=\"none\",status=\"405\"} 1",
        "clientele_sign_ins_total{method=\"none\",outcome=\"missing\"} 1",
        "clientele_sign_ins_total{method=\"password\",outcome=\"success\"} 9",
        "clientele_sign_ins_total{method=\"token\",outcome=\"wrong\"} 1",
        "clientele_user_errors_total{code=\"BLANK\"} 2",
    ]);
    assert_eq!(counted(&page, &beginnings), expected);
    let database = if url.starts_with("sqlite:") {
        "sqlite"
    } else {
        "postgresql"
    };
    for kind in ["read", "write"] {
        for beginning in [
            format!("clientele_database_statement_seconds_count{{database=\"{database}\",kind=\"{kind}\"}}"),
            format!("clientele_database_acquire_seconds_count{{kind=\"{kind}\"}}"),
        ] {
            assert_eq!(counted(&page, &[&beginning]).len(), 1, "{beginning}: {page}");
        }
    }
}

#[tokio::test]
async fn refusals_of_fast_callers_and_of_wrong_passwords_are_counted() {
    let server = start(&[
        ("CLIENTELE_LOG__FORMAT", "json"),
        ("CLIENTELE_RATE_LIMIT__PER_SECOND", "1"),
        ("CLIENTELE_AUTHENTICATION__FAILURES_PER_USER", "2"),
    ]);
    let guess = || {
        Client::new()
            .get(format!("{}/api/clients", server.address))
            .basic_auth("guest", Some("a guess"))
    };
    for expected in [401, 401, 429] {
        assert_eq!(send(guess()).await.status(), expected);
    }
    let query = "mutation { signIn(input: { name: \"guest\", password: \"a guess\" }) { accessToken } }";
    let sign_in = Client::new().post(format!("{}/graphql", server.address));
    assert_eq!(send(sign_in.json(&json!({ "query": query }))).await.status(), 429);
    add_user(&server.directory, &[], "hasty", "VIEW_CLIENT");
    for path in ["/api/clients", "/graphql?query={__typename}"] {
        let hasty = || {
            Client::new()
                .get(format!("{}{path}", server.address))
                .basic_auth("hasty", Some(PASSWORD))
        };
        while send(hasty()).await.status() != 429 {}
    }
    let page = page(&server).await;
    let expected = BTreeSet::from([
        "clientele_errors_total{api=\"graphql\",code=\"RATE_LIMITED\"} 2",
        "clientele_errors_total{api=\"rest\",code=\"INVALID_CREDENTIALS\"} 2",
        "clientele_errors_total{api=\"rest\",code=\"INVALID_PARAMETERS\"} 2",
        "clientele_refused_total{reason=\"rate_limit\"} 2",
        "clientele_refused_total{reason=\"sign_in_throttle\"} 2",
        "clientele_sign_ins_total{method=\"password\",outcome=\"throttled\"} 2",
        "clientele_sign_ins_total{method=\"password\",outcome=\"wrong\"} 2",
    ]);
    let beginnings = [
        "clientele_errors_total",
        "clientele_refused_total",
        "clientele_sign_ins_total",
    ];
    let mut found = counted(&page, &beginnings);
    found.retain(|line| !line.contains("success"));
    assert_eq!(found, expected);

    server.signal("TERM");
    let (log, _) = server.wait();
    let lines = requests_of(&log);
    let refused = lines.iter().filter(|line| line["status"] == 429);
    let codes: Vec<&Value> = refused.map(|line| &line["code"]).collect();
    let [rest, graphql] = ["INVALID_PARAMETERS", "RATE_LIMITED"];
    assert_eq!(codes, [rest, graphql, rest, graphql]);
}

#[tokio::test]
async fn metrics_require_their_own_permission() {
    let directory = directory();
    for (name, permissions) in [
        ("boss", "ALL"),
        ("scraper", "VIEW_METRICS"),
        ("auditor", "VIEW_CLIENT,AUDIT,MANAGE_USERS"),
    ] {
        add_user(&directory, &[], name, permissions);
    }
    let server = Server::start_in(directory, &[]);
    let ask = async |name: &str| {
        let request = Client::new().get(format!("{}/metrics", server.address));
        let answer = send(request.basic_auth(name, Some(PASSWORD))).await;
        (answer.status().as_u16(), answer.text().await.expect("text"))
    };
    for name in ["boss", "scraper"] {
        let (status, text) = ask(name).await;
        assert_eq!(
            (status, text.contains("\nclientele_database_up 1\n")),
            (200, true),
            "{name}"
        );
    }
    let refused = concat!(
        r#"{"returnCode":15,"returnStatus":"INVALID_PERMISSIONS","#,
        r#""errorSource":"This needs the permission VIEW_METRICS."}"#
    );
    assert_eq!(ask("auditor").await, (403, refused.to_owned()));
}

/// Carries connections to the PostgreSQL of a socket until it is aborted.
async fn proxy(url: &str) -> (String, tokio::task::JoinHandle<()>) {
    crate::harness::require_own_cluster();
    let (address, folder) = url
        .split_once("?host=")
        .expect("the tests' PostgreSQL listens on a socket");
    let socket = format!("{folder}/.s.PGSQL.5432");
    let name = address.rsplit_once('/').expect("the name of the database").1;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let proxy = tokio::spawn(async move {
        let mut open = tokio::task::JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let socket = socket.clone();
            open.spawn(async move {
                let mut database = UnixStream::connect(socket).await.expect("PostgreSQL listens");
                let _ = copy_bidirectional(&mut stream, &mut database).await;
            });
        }
    });
    (
        format!("postgres://clientele@127.0.0.1:{port}/{name}?sslmode=disable"),
        proxy,
    )
}

/// Requests metrics before and during an outage of PostgreSQL.
async fn metrics_in_an_outage(database_url: &str, freshness_seconds: &str) {
    let (url, proxy) = proxy(database_url).await;
    let environment = [
        ("DATABASE_URL", &*url),
        ("CLIENTELE_LOG__FORMAT", "json"),
        ("CLIENTELE_AUTHENTICATION__FRESHNESS_SECONDS", freshness_seconds),
    ];
    let directory = directory();
    add_user(&directory, &environment, "boss", "ALL");
    let server = Server::start_in(directory, &environment);
    assert_eq!(
        counted(
            &page(&server).await,
            &["clientele_database_up", "clientele_messages_queued"]
        ),
        BTreeSet::from(["clientele_database_up 1"])
    );
    proxy.abort();
    let _ = proxy.await;

    // A change that is refused leaves the accounts known, whether it is the first to notice the outage or not.
    let create = r#"mutation { createToken(input: { name: "t", permissions: [VIEW_CLIENT] }) { token { name } } }"#;
    for _ in 0..2 {
        assert_eq!(graphql(&server, create).await, 503);
        let text = page(&server).await;
        assert!(
            text.contains("\nclientele_database_up 0\n") && !text.contains("clientele_messages_queued"),
            "{text}"
        );
        promtool(&text);
    }
    let live = send(Client::new().get(format!("{}/health/live", server.address))).await;
    assert_eq!(live.status(), 200);
    // Unknown credentials cannot be looked up, and other routes need the database.
    let unknown = Client::new().get(format!("{}/metrics", server.address));
    assert_eq!(send(unknown.basic_auth("guest", Some(PASSWORD))).await.status(), 503);
    assert_eq!(send(ask(&server, Method::GET, "/api/clients")).await.status(), 503);
    assert_eq!(graphql(&server, "{ clients { totalCount } }").await, 503);
    assert!(
        page(&server)
            .await
            .contains("\nclientele_errors_total{api=\"graphql\",code=\"UNAVAILABLE\"} 3\n")
    );

    server.signal("TERM");
    let (log, _) = server.wait();
    let lines = requests_of(&log);
    let refused: Vec<&Value> = lines.iter().filter(|line| line["status"] == 503).collect();
    for line in &refused {
        let cause = line["cause"].as_str().unwrap_or_default();
        assert!(
            line["level"] == "WARN" && cause.starts_with("the database is unavailable: "),
            "{line}"
        );
    }
    assert_eq!(refused.len(), 5, "{log}");
}

/// The lines of a log in JSON that are about requests.
fn requests_of(log: &str) -> Vec<Value> {
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["message"] == "request").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_answer_without_the_database() {
    // With 0 every request reads its account anew; otherwise a change gets as far as its transaction.
    for freshness_seconds in ["0", "10"] {
        crate::harness::run(crate::harness::Backend::Postgres, async |server| {
            metrics_in_an_outage(&server.database_url(), freshness_seconds).await;
        })
        .await;
    }
}

#[test]
fn migrations_grant_new_permissions_to_holders_of_all() {
    let directory = directory();
    add_user(&directory, &[], "boss", "ALL");
    add_user(&directory, &[], "auditor", "VIEW_CLIENT,AUDIT");
    let said = |arguments: &[&str]| {
        let output = clientele(&directory, arguments, &[])
            .output()
            .expect("the program starts");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("text")
    };
    said(&["token", "create", "all", "--permissions", "ALL", "--days", "30"]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        use sea_orm::ConnectionTrait;
        let url = format!("sqlite:{}", directory.path().join("clientele.db").display());
        let database = sea_orm::Database::connect(url).await.expect("it is there");
        let without = [
            "VIEW_METRICS",
            "CHANGE_STATE",
            "ERASE_CLIENT",
            "MERGE_CLIENTS",
            "RECORD_RECEIPTS",
            "MANAGE_SUPPRESSIONS",
        ]
        .iter()
        .fold("permissions".to_owned(), |of, name| {
            format!("replace({of}, ',\"{name}\"', '')")
        });
        for sql in [
            &format!("UPDATE api_user SET permissions = {without}"),
            &format!("UPDATE api_token SET permissions = {without}"),
            "DELETE FROM seaql_migrations WHERE version IN ('m20261128_view_metrics', 'm20261129_state_permissions', \
             'm20261129_merge_permission', 'm20261130_receipts_permissions')",
        ] {
            let touched = database.execute_unprepared(sql).await.expect("it runs").rows_affected();
            assert!(touched > 0, "{sql}");
        }
        database.close().await.expect("closed");
    });
    said(&["migrate"]);
    let all = "VIEW_CLIENT,CREATE_CLIENT,EDIT_CLIENT,CHANGE_STATE,MERGE_CLIENTS,DELETE_CLIENT,ERASE_CLIENT,\
               MANAGE_CUSTOM_FIELDS,MANAGE_TEMPLATES,VIEW_MESSAGES,RESEND_MESSAGES,RECORD_RECEIPTS,MANAGE_SUPPRESSIONS,\
               MANAGE_USERS,AUDIT,VIEW_METRICS";
    let users = said(&["user", "list"]);
    assert!(
        users.contains(&format!("boss  {all}  ")) && users.contains("auditor  VIEW_CLIENT,AUDIT  "),
        "{users}"
    );
    assert!(said(&["token", "list"]).contains(&format!("  all  {all}  ")));
}

#[tokio::test]
async fn metrics_are_public_only_when_configured() {
    let ask = async |environment: &[(&str, &str)]| {
        let server = Server::start(environment);
        let url = format!("{}/metrics", server.address);
        let response = Client::new().get(url).send().await.expect("an answer");
        (
            response.status(),
            response.text().await.expect("text").contains("clientele_"),
        )
    };
    let public = ("CLIENTELE_AUTHENTICATION__PUBLIC_METRICS", "true");
    assert_eq!(ask(&[]).await, (StatusCode::UNAUTHORIZED, false));
    assert_eq!(ask(&[public]).await, (StatusCode::OK, true));
}

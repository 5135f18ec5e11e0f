//! `clientele audit export`: all records as lines of JSON.

use std::{
    fs::{self, File},
    io::pipe,
    process::Stdio,
};

use serde_json::{Value, json};

use crate::{
    harness::{
        TestServer, net,
        program::{clientele, directory, text},
    },
    server::database_files::{mode, names},
};

on_both!(
    records_are_written_in_their_order,
    erased_contents_stay_absent,
    one_client_can_be_chosen,
    long_chains_are_complete,
);

/// Runs the command: the lines, the last line of standard error, and the exit code.
fn export(server: &TestServer, arguments: &[&str]) -> (Vec<Value>, String, Option<i32>) {
    let url = server.database_url();
    let all = [&["audit", "export"], arguments].concat();
    let output = clientele(&directory(), &all, &[("DATABASE_URL", &url)])
        .output()
        .expect("the program starts");
    let log = text(output.stderr);
    net::standard_error(&log);
    let last = log
        .lines()
        .last()
        .filter(|line| line.starts_with("clientele: "))
        .unwrap_or_default()
        .to_owned();
    let lines = text(output.stdout);
    let lines = lines.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    (lines.collect(), last, output.status.code())
}

#[track_caller]
fn exported(server: &TestServer, arguments: &[&str]) -> Vec<Value> {
    let (lines, failure, code) = export(server, arguments);
    assert_eq!((failure.as_str(), code), ("", Some(0)));
    lines
}

async fn client(server: &TestServer, id: &str) -> String {
    let mutation = "mutation($input: UpsertClientInput!) { upsertClient(input: $input) { client { encodedKey } } }";
    let input = json!({ "input": { "client": { "clientId": id, "firstName": "Ines", "lastName": "Okafor" } } });
    let answer = server.graphql(mutation, input).await;
    let key = answer.body["data"]["upsertClient"]["client"]["encodedKey"]
        .as_str()
        .expect("a key");
    server.reveal(key)
}

/// The chain and the position of each record, and the chain and the number of each end.
fn positions(lines: &[Value]) -> Vec<(&str, i64)> {
    let of = |line: &Value| {
        line["position"]
            .as_i64()
            .or_else(|| line["count"].as_i64().map(|count| -count))
    };
    lines[1..lines.len() - 1]
        .iter()
        .map(|line| (line["chain"].as_str().expect("a chain"), of(line).expect("a number")))
        .collect()
}

async fn records_are_written_in_their_order(server: &TestServer) {
    let key = client(server, "C-1001").await;
    let lines = exported(server, &[]);
    assert_eq!(
        positions(&lines),
        [
            (&*key, 1),
            (&key, -1),
            ("~definitions", 1),
            ("~definitions", -1),
            ("~users", 1),
            ("~users", -1)
        ]
    );
    let (first, last) = (&lines[0], &lines[lines.len() - 1]);
    assert_eq!(
        (&first["format"], &first["version"]),
        (&json!("clientele-audit"), &json!(1))
    );
    assert!(
        first["exportedAt"].as_str().is_some_and(|at| at.ends_with('Z')),
        "{first}"
    );
    assert_eq!(*last, json!({ "end": { "records": 3, "chains": 3 } }));
    let row = server
        .services
        .db
        .read()
        .one(
            "SELECT contents, salt, digest, hmac, key_id, request_id, history_head \
        FROM audit_record JOIN client ON encoded_key = chain",
            [],
        )
        .await;
    let row = row.expect("it is read").expect("a record");
    let column = |index| row.try_get_by_index::<String>(index).expect("a text");
    let record = &lines[1];
    let expected = json!({
        "chain": key, "position": 1, "subject": "CLIENT", "subjectKey": key, "at": record["at"],
        "caller": record["caller"], "door": "GRAPHQL", "requestId": column(5), "action": "CREATED",
        "contents": column(0), "salt": column(1), "digest": column(2), "hmac": column(3), "keyId": column(4),
    });
    assert_eq!(*record, expected);
    let contents: Value = serde_json::from_str(record["contents"].as_str().expect("a text")).expect("JSON");
    assert!(
        contents.as_array().is_some_and(|members| !members.is_empty()),
        "{contents}"
    );
    assert_eq!(lines[2], json!({ "chain": key, "head": column(6), "count": 1 }));
}

async fn erased_contents_stay_absent(server: &TestServer) {
    let key = client(server, "C-1001").await;
    let url = server.database_url();
    let erased = clientele(
        &directory(),
        &["client", "erase", "C-1001", "--yes"],
        &[("DATABASE_URL", &url)],
    )
    .output();
    assert!(erased.expect("it starts").status.success());
    let lines = exported(server, &["--client", &key]);
    assert_eq!(positions(&lines), [(&*key, 1), (&key, 2), (&key, -2)]);
    let has_contents = |line: &Value| line.get("contents").is_some() && line.get("salt").is_some();
    assert_eq!([&lines[1], &lines[2]].map(has_contents), [false, true]);
    assert!(
        lines[1].get("salt").is_none() && !lines[1].to_string().contains("Okafor"),
        "{}",
        lines[1]
    );
    assert_eq!(lines[2]["action"], "ERASED");
}

async fn one_client_can_be_chosen(server: &TestServer) {
    let (_, second) = (client(server, "C-1001").await, client(server, "C-1002").await);
    let lines = exported(server, &["--client", &second]);
    assert_eq!(positions(&lines), [(&*second, 1), (&second, -1)]);
    assert_eq!(lines[3], json!({ "end": { "records": 1, "chains": 1 } }));
    let (lines, failure, code) = export(server, &["--client", "nobody"]);
    let none = "clientele: there are no records of a client with this key";
    // Standard output lacks the last line then, as that of any other failure.
    assert_eq!((lines.len(), failure.as_str(), code), (1, none, Some(1)));
}

/// A batch has at most 500 records.
async fn long_chains_are_complete(server: &TestServer) {
    let (first, second) = (client(server, "C-1001").await, client(server, "C-1002").await);
    let insert = |key: &str, count: i64| {
        let numbers = format!("WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < {count})");
        format!(
            "{numbers} INSERT INTO audit_record SELECT chain, i, recorded_at, caller_kind, caller_id, \
             caller_name, door, request_id, subject, subject_key, action, contents, salt, digest, hmac, key_id \
             FROM n, audit_record WHERE chain = '{key}'"
        )
    };
    for (key, count) in [(&first, 500), (&second, 501)] {
        server.write(&insert(key, count)).await.expect("written");
        let end = format!("UPDATE client SET history_count = {count} WHERE encoded_key = '{key}'");
        server.write(&end).await.expect("written");
    }
    let lines = exported(server, &[]);
    let mut keys = [(&*first, 500), (&*second, 501)];
    keys.sort();
    let mut expected = Vec::new();
    for (key, count) in keys.into_iter().chain([("~definitions", 1), ("~users", 1)]) {
        expected.extend((1..=count).map(|position| (key, position)));
        expected.push((key, -count));
    }
    assert!(positions(&lines) == expected, "{} lines", lines.len());
    assert_eq!(
        lines[lines.len() - 1],
        json!({ "end": { "records": 1_003, "chains": 4 } })
    );
}

#[test]
fn file_is_complete_or_absent() {
    let directory = directory();
    let run = |arguments: &[&str]| {
        let output = clientele(&directory, arguments, &[("CLIENTELE_LOG__FILTER", "off")]).output();
        let output = output.expect("the program starts");
        (text(output.stdout), text(output.stderr), output.status.code())
    };
    assert_eq!(run(&["migrate"]).2, Some(0));
    assert_eq!(
        run(&["audit", "export", "audit.ndjson"]),
        (String::new(), String::new(), Some(0))
    );
    let file = directory.path().join("audit.ndjson");
    let written = fs::read_to_string(&file).expect("text");
    assert!(
        written.ends_with("{\"end\":{\"chains\":2,\"records\":2}}\n"),
        "{written}"
    );
    assert_eq!(mode(&file), 0o600);
    let exists = "clientele: audit.ndjson exists: name another file, or replace it with --force\n";
    assert_eq!(
        run(&["audit", "export", "audit.ndjson"]),
        (String::new(), exists.to_owned(), Some(1))
    );
    assert_eq!(run(&["audit", "export", "audit.ndjson", "--force"]).2, Some(0));
    let (_, _, code) = run(&["audit", "export", "none.ndjson", "--client", "nobody"]);
    assert_eq!(code, Some(1));
    assert_eq!(names(&directory), ["audit.ndjson", "clientele.db"]);
}

#[test]
fn full_disk_and_closed_pipe_are_failures() {
    let directory = directory();
    let seeded = clientele(&directory, &["migrate"], &[]).output().expect("it starts");
    assert!(seeded.status.success());
    let export = |output: Stdio| {
        let mut command = clientele(&directory, &["audit", "export"], &[("CLIENTELE_LOG__FILTER", "off")]);
        let ended = command.stdout(output).output().expect("the program starts");
        (text(ended.stderr), ended.status.code())
    };
    let full = File::options().write(true).open("/dev/full").expect("a device");
    let sentence = "clientele: can't write to standard output: No space left on device (os error 28)\n";
    assert_eq!(export(full.into()), (sentence.to_owned(), Some(1)));
    let (reader, writer) = pipe().expect("a pipe");
    drop(reader);
    let sentence = "clientele: can't write to standard output: Broken pipe (os error 32)\n";
    assert_eq!(export(writer.into()), (sentence.to_owned(), Some(1)));
}

//! Files that would lose clients, fill the memory or destroy other files.

use std::{fs, os::unix::fs::FileTypeExt, process::Command};

use serde_json::{Value, json};

use super::{empty, entry, failed, file, lines, read, run, summary, summary_without};
use crate::harness::program::directory;

fn client(key: &str, id: &str) -> Value {
    json!({ "client": { "encodedKey": key, "clientId": id, "firstName": "Amara", "lastName": "B" } })
}

const REFUSED: &str = "clientele: lines that were refused: 1. Correct them and run the import again\n";

#[test]
fn key_of_a_client_with_another_id_is_refused() {
    let directory = directory();
    let url = empty(&directory);
    file(
        &directory,
        "in",
        lines(&[client("k1", "A"), client("k1", "B"), client("k1", "A")]),
    );
    let import = ["import", "in", "--report", "report", "--force"];
    let expected = entry(
        3,
        "TAKEN",
        "client.encodedKey",
        "A client with this key is stored with another clientId: give this one another key.",
        json!("k1"),
    );
    for (stored, known) in [(1, 1), (0, 2)] {
        let (output, error, status) = run(&directory, &url, &import);
        assert_eq!((output, &*error, status), (summary(stored, known, 1), REFUSED, Some(1)));
        assert_eq!(read(&directory, "report"), format!("{expected}\n"));
    }
}

#[test]
fn line_with_more_values_than_a_client_has_is_refused() {
    let directory = directory();
    let url = empty(&directory);
    let with = |documents: usize| {
        let mut line = client("k1", "A");
        line["idDocuments"] = vec![json!({}); documents].into();
        lines(&[line])
    };
    // The line, its two members and the four of the client are values, too.
    for (documents, code, path, message) in [
        (
            99_993,
            "TOO_MANY",
            "idDocuments",
            "idDocuments must have at most 200 entries.",
        ),
        (
            99_994,
            "TOO_MANY",
            "",
            "The line has more than 100000 values, which no client has: divide it.",
        ),
    ] {
        file(&directory, "in", with(documents));
        let (output, error, status) = run(&directory, &url, &["import", "in", "--report", "report", "--force"]);
        assert_eq!((output, &*error, status), (summary(0, 0, 1), REFUSED, Some(1)));
        let id = if path.is_empty() { Value::Null } else { json!("k1") };
        assert_eq!(
            read(&directory, "report"),
            format!("{}\n", entry(2, code, path, message, id))
        );
    }
}

/// A member of a client that is written with an escape is the same member.
#[test]
fn values_are_limited_by_the_kind_of_the_line() {
    let directory = directory();
    let url = empty(&directory);
    let mut escaped = client("k1", "A");
    escaped["idDocuments"] = vec![json!({}); 99_994].into();
    let escaped = lines(&[escaped]).replace("\"client\":", "\"\\u0063lient\":");
    let set = json!({ "customFieldSet": { "set": { "setId": "client" }, "fields": vec![json!({}); 100_000] } });
    // The line, its member and the list are values, too.
    let large = |values: usize| lines(&[json!({ "customFieldSet": vec![0; values - 2] })]);
    let other = json!({ "x": vec![0; 100_000] });
    for (name, content, code, path, message) in [
        (
            "escaped",
            escaped,
            "TOO_MANY",
            "",
            "The line has more than 100000 values, which no client has: divide it.",
        ),
        (
            "set",
            lines(&[set]),
            "MALFORMED",
            "customFieldSet.fields",
            "A member is missing or has a value of the wrong type: compare the line with the input in the schema.",
        ),
        (
            "most",
            large(1_000_000),
            "MALFORMED",
            "customFieldSet",
            "A member is missing or has a value of the wrong type: compare the line with the input in the schema.",
        ),
        (
            "more",
            large(1_000_001),
            "TOO_MANY",
            "",
            "The line has more than 1000000 values, which no definition has: divide it.",
        ),
        (
            "other",
            lines(&[other]),
            "TOO_MANY",
            "",
            "The line has more than 100000 values, which no client has: divide it.",
        ),
    ] {
        file(&directory, name, content);
        let (_, error, status) = run(&directory, &url, &["import", name, "--report", "report", "--force"]);
        assert_eq!((&*error, status), (REFUSED, Some(1)), "{name}");
        assert_eq!(
            read(&directory, "report"),
            format!("{}\n", entry(2, code, path, message, Value::Null))
        );
    }
}

#[test]
fn value_of_the_wrong_type_is_named() {
    let directory = directory();
    let url = empty(&directory);
    let with = |pointer: &str, value: Value| {
        let mut line = client("k1", "A");
        line["addresses"] = json!([{ "city": "x" }, { "city": "y" }]);
        line["customInformation"] = json!([{ "fieldId": "f", "value": "1" }]);
        *line.pointer_mut(pointer).expect("it exists") = value;
        line
    };
    let mut two = with("/client/lastName", json!(5));
    two["client"]["firstName"] = json!(5);
    let last_of = |documents: usize| {
        let mut line = client("k1", "A");
        let mut list = vec![json!({}); documents];
        list[documents - 1] = json!("x");
        line["idDocuments"] = list.into();
        line
    };
    for (line, path) in [
        (with("/client/firstName", json!(5)), "client.firstName"),
        (two, "client.firstName"),
        (last_of(1_000), "idDocuments.999"),
        (last_of(1_001), "idDocuments"),
        (with("/client", json!("x")), "client"),
        (with("/addresses/1/city", json!(["x"])), "addresses.1.city"),
        (with("/addresses/1", json!("x")), "addresses.1"),
        (
            with("/customInformation/0/value", json!(1)),
            "customInformation.0.value",
        ),
        (
            with("/customInformation/0", json!({ "value": "1" })),
            "customInformation.0",
        ),
        (json!({ "clientRole": { "roleId": "r", "name": 5 } }), "clientRole.name"),
        (json!({ "clientRole": { "roleId": 5, "name": "x" } }), "clientRole"),
    ] {
        let is_client = line.get("client").is_some_and(Value::is_object);
        file(&directory, "in", lines(&[line]));
        let arguments = ["import", "in", "--report", "report", "--force"];
        assert_eq!(run(&directory, &url, &arguments).2, Some(1));
        let message =
            "A member is missing or has a value of the wrong type: compare the line with the input in the schema.";
        let id = if is_client { json!("k1") } else { Value::Null };
        assert_eq!(
            read(&directory, "report"),
            format!("{}\n", entry(2, "MALFORMED", path, message, id))
        );
    }
}

#[test]
fn unknown_member_of_the_first_line_is_named() {
    let directory = directory();
    let url = empty(&directory);
    let with =
        |member: &str| lines(&[client("k1", "A")]).replacen("\"version\":1", &format!("\"version\":1{member}"), 1);
    file(
        &directory,
        "known",
        with(",\"stored\":true,\"exportedAt\":\"2026-11-29T09:30:00Z\""),
    );
    assert_eq!(
        run(&directory, &url, &["import", "known"]),
        (summary_without(1, 1, 0, 0), String::new(), Some(0))
    );
    file(&directory, "unknown", with(",\"Stored\":true"));
    let sentence = "the first line has the member Stored, which doesn't exist: leave it out";
    assert_eq!(run(&directory, &url, &["import", "unknown"]), failed(sentence));
    let stored = "stored in the first line must be true or false";
    let time = "exportedAt in the first line must be a time such as 2026-01-31T09:30:00Z";
    for (member, sentence) in [
        (",\"stored\":\"true\"", stored),
        (",\"stored\":null", stored),
        (",\"stored\":1", stored),
        (",\"exportedAt\":7", time),
        (",\"exportedAt\":\"today\"", time),
    ] {
        file(&directory, "wrong", with(member));
        assert_eq!(run(&directory, &url, &["import", "wrong"]), failed(sentence));
    }
}

#[test]
fn report_does_not_replace_the_imported_file() {
    let directory = directory();
    let url = empty(&directory);
    let content = lines(&[client("k1", "A")]);
    file(&directory, "in", &content);
    std::os::unix::fs::symlink("in", directory.path().join("link")).expect("a link");
    fs::hard_link(directory.path().join("in"), directory.path().join("hard")).expect("a link");
    for report in ["in", "link", "./in", "hard"] {
        let sentence = format!("{report} is the file to import: name another report");
        let import = ["import", "in", "--report", report, "--force"];
        assert_eq!(run(&directory, &url, &import), failed(&sentence));
        assert_eq!(read(&directory, "in"), content);
    }
}

#[test]
fn export_replaces_only_files() {
    let directory = directory();
    let url = empty(&directory);
    let at = |name: &str| directory.path().join(name);
    assert!(
        Command::new("mkfifo")
            .arg(at("pipe"))
            .status()
            .expect("it runs")
            .success()
    );
    file(&directory, "other", "kept");
    std::os::unix::fs::symlink("other", at("link")).expect("a link");
    for name in ["pipe", "link", "."] {
        let sentence = format!("{name} isn't a file: name another one, or write to standard output with -");
        assert_eq!(run(&directory, &url, &["export", name, "--force"]), failed(&sentence));
    }
    assert!(fs::metadata(at("pipe")).expect("it exists").file_type().is_fifo());
    assert!(at("link").is_symlink());
    assert_eq!(read(&directory, "other"), "kept");
}

#[test]
fn values_of_an_export_are_stored_in_fields_of_the_same_form() {
    let directory = directory();
    let url = empty(&directory);
    let set = |usage: &str, kind: &str| {
        json!({ "customFieldSet": { "set": { "setId": "cards", "name": "Cards", "usage": usage },
            "fields": [{ "fieldId": "card", "name": "Card", "type": kind }] } })
    };
    let export = |usage: &str, kind: &str, client: Value| {
        let first = json!({ "format": "clientele", "version": 1, "stored": true });
        let all = [first, set(usage, kind), client, json!({ "end": { "clients": 1 } })];
        all.map(|line| format!("{line}\n")).concat()
    };
    file(&directory, "first", export("SINGLE", "NUMBER", client("k1", "A")));
    let stored = (summary_without(1, 1, 0, 0), String::new(), Some(0));
    assert_eq!(run(&directory, &url, &["import", "first"]), stored);
    let end = "clientele: the definition on line 2 is refused, so that its clients can't be stored\n";
    for (usage, kind, refused) in [
        (
            "GROUPED",
            "NUMBER",
            (
                "customFieldSet.set.usage",
                "The stored set has another usage: make both equal.",
            ),
        ),
        (
            "SINGLE",
            "TEXT",
            (
                "customFieldSet.fields.0.type",
                "The stored field has another type: make both equal.",
            ),
        ),
    ] {
        let mut client = client("k2", "B");
        client["customInformation"] = json!([{ "fieldId": "card", "value": "9999-2222" }]);
        file(&directory, "second", export(usage, kind, client));
        let (_, error, status) = run(&directory, &url, &["import", "second", "--report", "report", "--force"]);
        assert_eq!((&*error, status), (end, Some(1)));
        let (path, message) = refused;
        assert_eq!(
            read(&directory, "report"),
            format!("{}\n", entry(2, "INVALID", path, message, Value::Null))
        );
    }
    file(&directory, "third", export("SINGLE", "NUMBER", client("k2", "B")));
    assert_eq!(run(&directory, &url, &["import", "third"]), stored);
}

#[test]
fn database_is_replaced_by_no_other_file() {
    let directory = directory();
    let url = empty(&directory);
    file(&directory, "in", lines(&[client("k1", "A")]));
    let at = |name: &str| directory.path().join(name);
    std::os::unix::fs::symlink("clientele.db", at("link")).expect("a link");
    std::os::unix::fs::symlink("clientele.db-wal", at("dangling")).expect("a link");
    fs::hard_link(at("clientele.db"), at("hard")).expect("a link");
    let database = fs::read(at("clientele.db")).expect("a database");
    for name in [
        "clientele.db",
        "./clientele.db",
        "link",
        "hard",
        "clientele.db-wal",
        "clientele.db-shm",
        "clientele.db-journal",
        "dangling",
    ] {
        let refused = failed(&format!("{name} is the database or a part of it: name another file"));
        assert_eq!(run(&directory, &url, &["export", name, "--force"]), refused);
        assert_eq!(run(&directory, &url, &["export", name]), refused);
        let import = ["import", "in", "--report", name, "--force"];
        assert_eq!(run(&directory, &url, &import), refused);
        assert!(
            fs::read(at("clientele.db")).is_ok_and(|file| file == database),
            "{name}"
        );
    }
    // One that is still missing, and one with the name of an unfinished export.
    let missing = format!("sqlite:{}", at("new.db").display());
    let import = ["import", "in", "--report", "new.db", "--force"];
    let refused = failed("new.db is the database or a part of it: name another file");
    assert_eq!(run(&directory, &missing, &import), refused);
    assert!(!at("new.db").exists());
    fs::rename(at("hard"), at("out.partial")).expect("renamed");
    let refused = failed("out.partial is the database or a part of it: name another file");
    assert_eq!(run(&directory, &url, &["export", "out"]), refused);
}

#[test]
fn field_of_another_set_is_no_field_of_the_same_form() {
    let directory = directory();
    let url = empty(&directory);
    let set = |id: &str, usage: &str, fields: Value| {
        let set = json!({ "setId": id, "name": id, "usage": usage });
        json!({ "customFieldSet": { "set": set, "fields": fields } })
    };
    let card = json!([{ "fieldId": "card", "name": "Card", "type": "TEXT" }]);
    let other = json!([{ "fieldId": "other", "name": "Other", "type": "TEXT" }]);
    let export = |sets: [Value; 2], client: Value| {
        let first = json!({ "format": "clientele", "version": 1, "stored": true });
        let [one, two] = sets;
        let all = [first, one, two, client, json!({ "end": { "clients": 1 } })];
        all.map(|line| format!("{line}\n")).concat()
    };
    let first = [
        set("cards", "GROUPED", card.clone()),
        set("facts", "SINGLE", other.clone()),
    ];
    file(&directory, "first", export(first, client("k1", "A")));
    let stored = (summary_without(1, 1, 0, 0), String::new(), Some(0));
    assert_eq!(run(&directory, &url, &["import", "first"]), stored);
    let mut second = client("k2", "B");
    second["customInformation"] = json!([{ "fieldId": "card", "value": "1" }]);
    let sets = [set("cards", "GROUPED", other), set("facts", "SINGLE", card)];
    file(&directory, "second", export(sets, second));
    let (_, error, status) = run(&directory, &url, &["import", "second", "--report", "report"]);
    let end = "clientele: the definition on line 2 is refused, so that its clients can't be stored\n";
    assert_eq!((&*error, status), (end, Some(1)));
    let message = "The stored field has another set: make both equal.";
    let expected = entry(2, "INVALID", "customFieldSet.fields.0.fieldId", message, Value::Null);
    assert_eq!(read(&directory, "report"), format!("{expected}\n"));
}

#[test]
fn members_of_the_last_line_are_checked() {
    let directory = directory();
    let url = empty(&directory);
    let unknown = "The line has a member that doesn't exist: leave it out.";
    for (end, code, path, message) in [
        (json!({ "clients": 1, "x": 1 }), "INVALID", "end.x", unknown),
        (
            json!({ "clients": "1" }),
            "MALFORMED",
            "end.clients",
            "clients must be a whole number.",
        ),
        (
            json!({ "clients": -1 }),
            "MALFORMED",
            "end.clients",
            "clients must be a whole number.",
        ),
        (json!({}), "MALFORMED", "end.clients", "clients must be a whole number."),
        (
            json!({ "clients": 1, "removedClients": null }),
            "MALFORMED",
            "end.removedClients",
            "removedClients must be a whole number.",
        ),
        (
            json!([]),
            "MALFORMED",
            "end",
            "end must be an object with the number of clients.",
        ),
    ] {
        let content = lines(&[client("k1", "A")]).replace("{\"clients\":1}", &end.to_string());
        file(&directory, "in", content);
        let (_, error, status) = run(&directory, &url, &["import", "in", "--report", "report", "--force"]);
        let sentence = "clientele: the file has no last line with the number of clients: it was cut off, or is still \
                        being written\n";
        assert_eq!((&*error, status), (sentence, Some(1)));
        let expected = entry(3, code, path, message, Value::Null);
        assert_eq!(read(&directory, "report"), format!("{expected}\n"));
    }
}

#[test]
fn misplaced_members_are_named_with_their_remedy() {
    let directory = directory();
    let url = empty(&directory);
    let with = |name: &str, value: Value| {
        let mut line = client("k1", "A");
        match name {
            "addresses" => line[name] = value,
            _ => line["client"][name] = value,
        }
        line
    };
    let id = "A client has no member id here: its id is clientId, its key encodedKey.";
    let list = "addresses must be a list: [{…}].";
    for (line, code, path, message) in [
        (with("id", json!("A")), "INVALID", "client.id", id),
        (
            with("addresses", json!({ "city": "C" })),
            "MALFORMED",
            "addresses",
            list,
        ),
        (
            with("birthDate", json!("17.04.1990")),
            "MALFORMED",
            "client.birthDate",
            "birthDate must be a date, such as 1990-04-17.",
        ),
        (
            with("gender", json!("F")),
            "MALFORMED",
            "client.gender",
            "gender must be one of MALE, FEMALE.",
        ),
        (
            with("createdAt", json!("2030-01-01")),
            "MALFORMED",
            "client.createdAt",
            "createdAt must be a time such as 2026-01-31T09:30:00Z.",
        ),
        (
            with("state", json!("active")),
            "MALFORMED",
            "client.state",
            "state must be PENDING_APPROVAL, INACTIVE, ACTIVE, EXITED, BLACKLISTED or REJECTED.",
        ),
    ] {
        file(&directory, "in", lines(&[line]));
        let arguments = ["import", "in", "--report", "report", "--force"];
        assert_eq!(run(&directory, &url, &arguments).2, Some(1));
        let expected = entry(2, code, path, message, json!("k1"));
        assert_eq!(read(&directory, "report"), format!("{expected}\n"));
    }
}

#[test]
fn byte_order_mark_before_the_first_line_is_ignored() {
    let directory = directory();
    let url = empty(&directory);
    file(&directory, "in", format!("\u{feff}{}", lines(&[client("k1", "A")])));
    assert_eq!(
        run(&directory, &url, &["import", "in"]),
        (summary(1, 0, 0), String::new(), Some(0))
    );
}

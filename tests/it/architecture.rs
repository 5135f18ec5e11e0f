//! The arrows of the house: imports point downward only, and one file owns what must not be scattered.

use std::path::{Path, PathBuf};

/// Every Rust file below a folder of the repository, with its text but without its own tests.
fn sources(folder: &str) -> Vec<(String, String)> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder of the repository") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files);
    files.sort();
    assert!(!files.is_empty(), "{folder} has sources");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a source is text");
        let text = text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default()
            .to_owned();
        let name = path
            .strip_prefix(root)
            .expect("below the root")
            .to_string_lossy()
            .replace('\\', "/");
        (name, text)
    };
    files.into_iter().map(read).collect()
}

/// The lines of `folder` that hold one of `words`, but for comments, in files that `may` doesn't allow it.
fn offenders(folder: &str, words: &[&str], may: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in sources(folder).into_iter().filter(|(name, _)| !may(name)) {
        // `use crate::{api::…}` over several lines is one path as well.
        let flat = text.replace("crate::{\n    ", "crate::{");
        for line in flat.lines().filter(|line| !line.trim_start().starts_with("//")) {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{name}: {}", line.trim()));
            }
        }
    }
    found
}

fn below(folders: &'static [&'static str]) -> impl Fn(&str) -> bool {
    move |name| folders.iter().any(|folder| name.starts_with(folder))
}

const NOTHING: [String; 0] = [];

#[test]
fn the_domain_knows_no_door() {
    let outside = below(&[
        "src/api",
        "src/cli",
        "src/config",
        // HTTP is what its far end speaks; nobody calls in through it.
        "src/notify/channel",
        "src/telemetry",
        // What HTTP is served by.
        "src/server",
        "src/main.rs",
        "src/lib.rs",
    ]);
    let words = [
        "crate::api",
        "crate::{api",
        "crate::cli::",
        "crate::cli;",
        "crate::config",
        "axum",
        "http::",
        "reqwest",
        "hyper",
    ];
    assert_eq!(offenders("src", &words, outside), NOTHING);
}

#[test]
fn of_graphql_the_domain_knows_only_how_to_derive_types() {
    let outside = below(&["src/api", "src/cli"]);
    let words = [
        "async_graphql::Context",
        "async_graphql::Schema",
        "Object as",
        "SimpleObject",
        "DataLoader",
        "dataloader",
    ];
    assert_eq!(offenders("src", &words, outside), NOTHING);
}

#[test]
fn doors_know_no_database() {
    let words = [
        "sea_orm",
        "sqlx",
        "INSERT INTO",
        "SELECT ",
        "UPDATE ",
        "DELETE FROM",
        "crate::db",
    ];
    assert_eq!(offenders("src/api", &words, |_| false), NOTHING);
}

/// It takes a caller, or gives what only a caller can open: no door can forget the permission then.
#[test]
fn every_entry_point_of_the_domain_asks_who_is_calling() {
    // Clients to measure with, and what a server does by itself.
    let asks_nobody = ["seed", "begin_history"];
    let mut found = Vec::new();
    let doors = below(&["src/api/", "src/cli/"]);
    for (_, text) in sources("src").into_iter().filter(|(name, _)| !doors(name)) {
        for block in text.split("\n}\n") {
            let methods = block.contains("\nimpl Clientele {\n");
            for function in block.split("pub async fn ").skip(1) {
                let signature = function.split(" {\n").next().unwrap_or_default();
                let enters = methods || signature.contains(": &Clientele");
                if enters && !signature.contains("&Caller") && !signature.contains("Unread<") {
                    found.push(signature.split('(').next().unwrap_or_default().to_owned());
                }
            }
        }
    }
    assert_eq!(found, asks_nobody);
}

/// The shell is around whatever is served; its refusals have a form that the doors decide.
#[test]
fn the_http_shell_knows_neither_what_it_serves_nor_who_serves_it() {
    let words = [
        "crate::access",
        "crate::client",
        "crate::db",
        "crate::idempotency",
        "crate::history",
        "crate::notify",
        "api::graphql",
        "api::rest",
        "async_graphql",
        "sea_orm",
        "sqlx",
    ];
    assert_eq!(offenders("src/server", &words, |_| false), NOTHING);
    assert_eq!(
        offenders("src/api", &["crate::server", "crate::{server", "    server::"], |_| {
            false
        }),
        NOTHING
    );
}

#[test]
fn migrations_never_import_entities() {
    assert_eq!(offenders("migration/src", &["entity", "clientele"], |_| false), NOTHING);
}

#[test]
fn entities_know_nothing_above_them() {
    assert_eq!(
        offenders(
            "entity/src",
            &["clientele", "migration", "async_graphql", "axum"],
            |_| false
        ),
        NOTHING
    );
}

#[test]
fn only_the_database_module_begins_and_ends_transactions() {
    let words = [
        ".begin(",
        ".begin_with_options(",
        ".commit()",
        ".rollback()",
        ".transaction(",
        "TransactionTrait",
    ];
    assert_eq!(offenders("src", &words, below(&["src/db"])), NOTHING);
}

#[test]
fn the_clock_is_read_at_the_doors_only() {
    assert_eq!(
        offenders(
            "src",
            &["Utc::now()", "SystemTime::now()"],
            below(&["src/api", "src/cli"])
        ),
        NOTHING
    );
}

#[test]
fn none_of_our_crates_may_be_unsafe() {
    let manifest = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(path).expect("a manifest is text")
    };
    let root = manifest("Cargo.toml");
    assert!(root.contains("[workspace.lints.rust]\nunsafe_code = \"forbid\""));
    assert!(
        root.contains("members = [\"entity\", \"migration\"]"),
        "a new crate belongs here"
    );
    for path in ["Cargo.toml", "entity/Cargo.toml", "migration/Cargo.toml"] {
        assert!(manifest(path).contains("[lints]\nworkspace = true"), "{path}");
    }
    assert!(manifest("fuzz/Cargo.toml").contains("[lints.rust]\nunsafe_code = \"forbid\""));
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/threat-model.md")).expect("the page is text");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(rows.len() > 20, "the table is there");
    let all: Vec<String> = ["src", "tests/it"]
        .iter()
        .flat_map(|folder| texts(&root.join(folder)))
        .flat_map(|text| tests(&text))
        .collect();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches(['|', ' ']).split(" | ").collect();
        let [threat, _, shown] = cells[..] else {
            panic!("three cells: {row}")
        };
        let tests: Vec<&str> = shown.split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "{threat}: shown by a test");
        for test in tests {
            assert!(all.iter().any(|known| known == test), "{threat}: {test}");
        }
    }
}

/// The names of the tests in a file: functions with an attribute that makes them one, and those in a macro that does.
fn tests(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let (mut attribute, mut many) = (false, false);
    for line in text.lines() {
        let code = line.trim_start();
        if line.ends_with("! {") && code == line {
            many = ["on_both! {", "signed_in! {"].contains(&line);
        } else if line == "}" {
            many = false;
        }
        let declared = code.trim_start_matches("async ").strip_prefix("fn ");
        if let Some((name, _)) = declared.and_then(|rest| rest.split_once('(')) {
            let listed = many && line.len() == code.len() + 4;
            if attribute || listed {
                names.push(name.to_owned());
            }
            attribute = false;
        } else if code.starts_with("#[test]") || code.starts_with("#[tokio::test") {
            attribute = true;
        } else if !code.starts_with("#[") && !code.starts_with("//") {
            attribute = false;
        }
    }
    names
}

#[test]
fn a_function_is_no_test_for_its_name() {
    let text = "#[test]\nfn one() {\n}\nfn helper() {}\non_both! {\n    async fn two(server) {\n        fn inside() {}\n    }\n}\n\
                fn after() {}\n    #[tokio::test(flavor = \"multi_thread\")]\n    #[should_panic]\n    async fn three() {\n\
                macro! {\n    async fn no(server) {\n    }\n}\n#[test]\nconst X: u8 = 1;\nfn neither() {}\n";
    assert_eq!(tests(text), ["one", "two", "three"]);
}

/// Every Rust file below a folder, its tests included.
fn texts(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder of the repository");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => texts(&path),
            false => vec![std::fs::read_to_string(&path).unwrap_or_default()],
        })
        .collect()
}

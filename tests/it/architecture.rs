//! Rules of the layout that the dependencies of the crates can't express.

use std::collections::BTreeSet;
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

/// The lines of `folder`, except comments, that contain one of `words`, in files that `may` does not allow.
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
fn domain_uses_only_derives_of_async_graphql() {
    let words = [
        "async_graphql::Context",
        "async_graphql::Schema",
        "Object as",
        "SimpleObject",
        "DataLoader",
        "dataloader",
    ];
    assert_eq!(offenders("crates/domain/src", &words, |_| false), NOTHING);
}

#[test]
fn apis_do_not_use_the_database() {
    let words = ["sea_orm", "sqlx", "INSERT INTO", "SELECT ", "UPDATE ", "DELETE FROM"];
    assert_eq!(offenders("src/api", &words, |_| false), NOTHING);
}

/// The methods of services take a caller or return data that only a caller can open, so that no API can skip the
/// permission check.
#[test]
fn domain_entry_points_take_a_caller() {
    let services = [
        "Accounts",
        "AuditLog",
        "Clients",
        "CustomFields",
        "Messages",
        "Suppressions",
        "Templates",
    ];
    // Signing in, commands of the operator, the start of a server, look-ups of the worker, and texts and positions
    // without a client's data.
    let without_caller = [
        "any_user",
        "changes",
        "has_others",
        "known_user",
        "refresh_session",
        "seed",
        "start",
        "token",
        "variants",
        "verify",
    ];
    let mut found = Vec::new();
    let mut methods = 0;
    for (_, text) in sources("crates/domain/src") {
        for service in services {
            for block in text.split(&format!("\nimpl {service} {{\n")).skip(1) {
                let block = block.split("\n}\n").next().unwrap_or_default();
                for function in block.split("pub async fn ").skip(1) {
                    methods += 1;
                    let signature = function.split(" {\n").next().unwrap_or_default();
                    if !signature.contains("&Caller") && !signature.contains("Unchecked<") {
                        found.push(signature.split(['(', '<']).next().unwrap_or_default().to_owned());
                    }
                }
            }
        }
    }
    found.sort_unstable();
    assert_eq!(found, without_caller);
    assert!(methods > 30, "the services are found: {methods}");
}

#[test]
fn only_storage_begins_and_ends_transactions() {
    let words = [
        ".begin(",
        ".begin_with_options(",
        ".commit()",
        ".rollback()",
        ".transaction(",
        "TransactionTrait",
    ];
    for folder in ["src", "crates/domain/src", "crates/delivery/src"] {
        assert_eq!(offenders(folder, &words, |_| false), NOTHING);
    }
}

#[test]
fn only_apis_and_commands_read_the_clock() {
    let words = ["Utc::now()", "SystemTime::now()"];
    assert_eq!(offenders("crates", &words, |_| false), NOTHING);
    assert_eq!(offenders("src", &words, below(&["src/api", "src/cli"])), NOTHING);
}

/// Both could be published by themselves: cargo refuses imports of crates that their manifests don't name.
#[test]
fn servers_know_no_client() {
    for (server, foreign) in [
        ("http-server", &["graphql", "Graphql", "\"/api", "playground"][..]),
        ("graphql-server", &["clientele_domain", "http_server"][..]),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("crates/{server}/Cargo.toml"));
        let manifest = std::fs::read_to_string(path).expect("a manifest is text");
        let is_ours = |line: &&str| line.contains("clientele-") || line.contains("path =");
        let ours: Vec<&str> = manifest.lines().filter(is_ours).collect();
        assert_eq!(ours, ["clientele-core.workspace = true"], "{server}");
        assert_eq!(offenders(&format!("crates/{server}/src"), foreign, |_| false), NOTHING);
    }
}

/// The recipe of an optional client field lists every file that names `notes`, its example. So it fails when production
/// code lists the fields of a client once more.
#[test]
fn recipe_of_a_client_field_lists_every_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("CONTRIBUTING.md")).expect("the page is text");
    let (_, recipe) = page.split_once("### Add an optional client field").expect("a heading");
    let (recipe, _) = recipe.split_once("\n### ").expect("the next recipe");
    let mut steps = BTreeSet::new();
    let mut legacy = BTreeSet::new();
    for line in recipe.lines() {
        let mut quoted = line.split('`').skip(1).step_by(2).map(str::to_owned);
        if line.starts_with("| `") {
            steps.extend(quoted.next());
        } else {
            legacy.extend(quoted.filter(|path| path.starts_with("src/")));
        }
    }
    assert!(
        steps.len() <= 7,
        "an optional client field costs at most 7 files: {steps:?}"
    );

    let mut expected: BTreeSet<String> = steps.union(&legacy).cloned().collect();
    // The example has a migration of its own, which the list of migrations doesn't name.
    let own = expected.extract_if(.., |path| path.starts_with("migration/"));
    assert_eq!(own.count(), 2);
    expected.insert("migration/src/m20261122_clients.rs".to_owned());
    // Data for benchmarks, and lists of clients, which keep the longest text in memory only if it is requested.
    for own in [
        "crates/domain/src/client/seed.rs",
        "crates/domain/src/upsert/many.rs",
        "crates/domain/src/upsert/many/progress.rs",
        "src/api/graphql/many.rs",
    ] {
        expected.insert(own.to_owned());
    }
    let folders = ["src", "crates", "entity/src", "migration/src"];
    let sources = folders.iter().flat_map(|folder| sources(folder));
    let is_production = |name: &str| !name.split('/').any(|part| ["tests", "tests.rs"].contains(&part));
    let named = sources.filter(|(name, text)| is_production(name) && names_notes(text));
    let mut named: BTreeSet<String> = named.map(|(name, _)| name).collect();
    let schema = std::fs::read_to_string(root.join("schema.graphql")).expect("the schema is text");
    named.extend(names_notes(&schema).then(|| "schema.graphql".to_owned()));
    assert_eq!(named, expected);
}

/// True if the text, without its comments, has the word `notes`.
fn names_notes(text: &str) -> bool {
    let mut code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.any(|line| {
        let mut words = line.split(|letter: char| letter != '_' && !letter.is_alphanumeric());
        words.any(|word| word == "notes")
    })
}

#[test]
fn every_crate_forbids_unsafe_code() {
    let manifest = |path: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        std::fs::read_to_string(path).expect("a manifest is text")
    };
    assert!(manifest("Cargo.toml").contains("[workspace.lints.rust]\nunsafe_code = \"forbid\""));
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    let crates = std::fs::read_dir(crates).expect("a folder of the repository");
    let crates = crates.map(|entry| format!("crates/{}/Cargo.toml", entry.expect("an entry").file_name().display()));
    let others = ["Cargo.toml", "entity/Cargo.toml", "migration/Cargo.toml"].map(str::to_owned);
    for path in crates.chain(others) {
        assert!(manifest(&path).contains("[lints]\nworkspace = true"), "{path}");
    }
    assert!(manifest("fuzz/Cargo.toml").contains("[lints.rust]\nunsafe_code = \"forbid\""));
}

#[test]
fn tests_named_in_the_threat_model_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/threat-model.md")).expect("the page is text");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).skip(2).collect();
    assert!(rows.len() > 20, "the table is there");
    let all: Vec<String> = ["src", "crates", "tests/it"]
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

/// The names of the tests in a file: those that a macro lists, then functions with a test attribute.
fn tests(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for list in ["\non_both!(", "\non_postgres!(", "\nsigned_in!("] {
        for call in text.split(list).skip(1) {
            let listed = call.split(");").next().unwrap_or_default().split(',').map(str::trim);
            names.extend(listed.filter(|name| !name.is_empty()).map(str::to_owned));
        }
    }
    let mut attribute = false;
    for line in text.lines() {
        let code = line.trim_start();
        let declared = code.trim_start_matches("async ").strip_prefix("fn ");
        if let Some((name, _)) = declared.and_then(|rest| rest.split_once('(')) {
            if attribute {
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
fn only_listed_or_attributed_functions_are_tests() {
    let text = "#[test]\nfn one() {\n}\nfn helper() {}\non_both!(\n    two,\n    four\n);\n\nasync fn two(server: \
        &TestServer) {\n\
                fn inside() {}\n}\non_postgres!(five);\nfn after() {}\n#[tokio::test(flavor = \"multi_thread\")]\n\
                #[should_panic]\n    async fn three() {\nother!(\n    no\n);\n#[test]\nconst X: u8 = 1;\n\
                fn neither() {}\n";
    assert_eq!(tests(text), ["two", "four", "five", "one", "three"]);
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

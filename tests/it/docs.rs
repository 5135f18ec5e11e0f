//! Runs the commands of README.md and docs/ against the real program and compares their answers.
//!
//! `sh`, `graphql` and `toml` blocks run in order, in one shell, next to a server. The `json` or `text` block that
//! follows one is its output: [`mask`] hides what differs from run to run, and `…` in a text stands for any text.
//! A command that can't run here is marked `sh no-run` and listed in [`NOT_RUN`]. `tests/operations/run` runs the
//! blocks that are marked with `operations`.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::{Value, json};

use crate::harness::program::Server;

const ADDRESS: &str = "http://127.0.0.1:8080";
const PASSWORD: &str = "THE-PASSWORD";
/// Ends the output of a block.
const END: char = '\u{1e}';

/// The pages and first lines of commands that no test runs.
const NOT_RUN: &[&str] = &[
    "docs/audit.md: openssl rand -base64 32",
    "docs/changes.md: curl -N -u \"$ADMIN\" http://127.0.0.1:8080/graphql -H 'content-type: application/json' \
     -H 'accept: text/event-stream' \\",
    "docs/operations.md: runuser -u clientele -- clientele --config /etc/clientele/config.toml user password admin",
    "docs/operations.md: kubectl create secret generic clientele-database --from-file=url=/FILE/WITH/THE/ADDRESS",
    "docs/operations.md: clientele user add admin --permissions ALL < /run/secrets/admin_password",
    "docs/performance.md: bench/run",
    "docs/runbook.md: psql \"$DATABASE_URL\" -c \"SELECT pid, state, now() - xact_start AS age, wait_event_type",
    "docs/runbook.md: psql \"$DATABASE_URL\" -c 'SELECT 1'",
    "docs/runbook.md: df -h . && ls -l clientele.db*",
    "docs/runbook.md: psql \"$DATABASE_URL\" -c 'SELECT application_name, client_addr, state, replay_lag FROM \
     pg_stat_replication'",
    "docs/runbook.md: psql \"$DATABASE_URL\" -c 'ANALYZE'",
];

macro_rules! pages {
    ($($name:ident: $path:literal,)+) => {
        const PAGES: &[&str] = &[$($path),+];
        $(
            #[test]
            fn $name() {
                run($path);
            }
        )+
    };
}

pages! {
    readme: "README.md",
    contributing: "CONTRIBUTING.md",
    access: "docs/access.md",
    architecture: "docs/architecture.md",
    audit: "docs/audit.md",
    changes: "docs/changes.md",
    client_states: "docs/client-states.md",
    custom_fields: "docs/custom-fields.md",
    graphql: "docs/graphql.md",
    legacy_rest: "docs/legacy-rest.md",
    metrics: "docs/metrics.md",
    migrating: "docs/migrating.md",
    notifications: "docs/notifications.md",
    operations: "docs/operations.md",
    performance: "docs/performance.md",
    runbook: "docs/runbook.md",
    statements: "docs/statements.md",
    telemetry: "docs/telemetry.md",
    threat_model: "docs/threat-model.md",
    upsert: "docs/upsert.md",
}

/// A fenced block of a page.
struct Block {
    /// The line of its fence.
    line: usize,
    /// The words after the opening fence.
    info: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn blocks(page: &str) -> Vec<Block> {
    let text = fs::read_to_string(root().join(page)).expect("the page is text");
    let (mut blocks, mut open) = (Vec::new(), None::<Block>);
    for (at, line) in text.lines().enumerate() {
        let fence = line.strip_prefix("```");
        match (open.take(), fence) {
            (None, Some(info)) => {
                open = Some(Block {
                    line: at + 1,
                    info: info.to_owned(),
                    text: String::new(),
                });
            }
            (None, None) => {}
            (Some(block), Some(_)) => blocks.push(block),
            (Some(mut block), None) => {
                block.text += line;
                block.text.push('\n');
                open = Some(block);
            }
        }
    }
    assert!(open.is_none(), "{page}: a block has no end");
    blocks
}

/// The blocks that run, each with the block that has its output.
fn steps(page: &str) -> Vec<(Block, Option<Block>)> {
    let mut steps: Vec<(Block, Option<Block>)> = Vec::new();
    for block in blocks(page) {
        match block.info.as_str() {
            "sh" | "sh serve" | "graphql" | "toml" => steps.push((block, None)),
            "json" | "text" => match steps.last_mut() {
                Some((_, answer @ None)) => *answer = Some(block),
                _ => panic!("{page}:{}: an answer without a command", block.line),
            },
            "sh no-run" | "ini" | "rust" | "ts" | "mermaid" | "promql" | "sql" | "text plan" => {}
            info if info.ends_with(" operations") => {}
            info => panic!("{page}:{}: unknown kind of block: {info}", block.line),
        }
    }
    steps
}

/// A folder for PATH in which `clientele`, and cargo where it would run it, is the program under test.
fn programs(folder: &Path) -> PathBuf {
    let programs = folder.join("programs");
    fs::create_dir(&programs).expect("a new folder");
    symlink(env!("CARGO_BIN_EXE_clientele"), programs.join("clientele")).expect("a link");
    let cargo = programs.join("cargo");
    let script = "#!/bin/sh\n[ \"$1 $2 $3\" = 'run --release --' ] || exit 2\nshift 3\nexec clientele \"$@\"\n";
    fs::write(&cargo, script).expect("a script");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("its mode");
    programs
}

/// The shell commands of a step. Files that they need are written to `folder`.
fn command(block: &Block, folder: &Path, password: &str) -> String {
    let file = format!("block-{}", block.line);
    let write = |text: &str| fs::write(folder.join(&file), text).expect("a file");
    match block.info.as_str() {
        "sh serve" => "cat greeting\n".to_owned(),
        "graphql" => {
            write(&json!({ "query": block.text }).to_string());
            format!(
                "curl -sS -u admin:{password} {ADDRESS}/graphql -H 'content-type: application/json' --data @{file}\n"
            )
        }
        "toml" => {
            write(&block.text);
            format!("clientele --config {file} config >/dev/null\n")
        }
        _ => block.text.clone(),
    }
}

/// Runs a page's blocks next to a server and compares each output with the answer on the page.
fn run(page: &str) {
    let steps = steps(page);
    if steps.is_empty() {
        return;
    }
    let server = Server::on_terminal(&[]);
    let folder = server.directory.path();
    let greeting = server.greeting.replace('\r', "");
    let (_, rest) = greeting.split_once("with the password ").expect("a password");
    let password = rest.split_whitespace().next().expect("a password").to_owned();
    fs::write(folder.join("greeting"), &greeting).expect("a file");
    let mut script = String::new();
    for (block, _) in &steps {
        script += &command(block, folder, &password);
        script += "printf '\\036'\n";
    }
    let path = env::var("PATH").expect("a path");
    let script = script.replace(ADDRESS, &server.address).replace(PASSWORD, &password);
    let output = Command::new("sh")
        .args(["-euc", &script])
        .current_dir(folder)
        .env_clear()
        .env("PATH", format!("{}:{path}", programs(folder).display()))
        .output()
        .expect("sh");
    let found = String::from_utf8(output.stdout).expect("UTF-8");
    let found = found.replace(&server.address, ADDRESS).replace(&password, PASSWORD);
    let mut outputs: Vec<&str> = found.split(END).collect();
    let unfinished = outputs.pop();
    let mut differences = String::new();
    if let Some((Block { line, .. }, _)) = steps.get(outputs.len()) {
        let errors = String::from_utf8_lossy(&output.stderr);
        differences = format!("{page}:{line}: the command failed: {unfinished:?}\n{errors}\n");
    }
    for ((block, answer), found) in steps.iter().zip(outputs) {
        let is_equal = match answer {
            Some(answer) if answer.info == "json" => {
                json_of(found).is_ok_and(|found| json_of(&answer.text).is_ok_and(|answer| answer == found))
            }
            Some(answer) => fits(&mask(answer.text.trim()), &mask(found.trim())),
            None => found.trim().is_empty(),
        };
        if !is_equal {
            let line = answer.as_ref().unwrap_or(block).line;
            differences += &format!("{page}:{line}: the output is:\n{}\n\n", found.trim());
        }
    }
    server.signal("TERM");
    assert_eq!(server.wait().1, Some(0));
    assert!(differences.is_empty(), "{differences}");
}

fn json_of(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(&mask(text))
}

/// True when `found` is `expected`, where `…` stands for any text.
fn fits(expected: &str, found: &str) -> bool {
    let Some((start, rest)) = expected.split_once('…') else {
        return expected == found;
    };
    let Some(found) = found.strip_prefix(start) else {
        return false;
    };
    found.char_indices().any(|(at, _)| fits(rest, &found[at..])) || fits(rest, "")
}

/// The text with the kind of each word in place of the word, where it differs from run to run.
fn mask(text: &str) -> String {
    let is_end = |letter: char| !letter.is_ascii_alphanumeric() && !"-:.+_".contains(letter);
    let mut masked = String::new();
    for part in text.split_inclusive(is_end) {
        let word = part.trim_end_matches(is_end);
        masked += kind(word).unwrap_or(word);
        masked += &part[word.len()..];
    }
    masked
}

/// The kind of a word that differs from run to run, by its form. Midnight is the time of dates, which don't differ.
fn kind(word: &str) -> Option<&'static str> {
    let form = word.replace(|letter: char| letter.is_ascii_digit(), "0");
    let form = form.replace(|letter: char| letter.is_ascii_uppercase(), "A");
    let is_hex = |word: &str| word.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_time = form.starts_with("0000-00-00A00:00:00") && !word.contains("T00:00:00");
    let mut parts = word.split('.');
    let mut is_number = || {
        parts
            .next()
            .is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if is_number() && is_number() && parts.next().is_some_and(|check| check.len() == 12) && parts.next().is_none() {
        return Some("POSITION");
    }
    match form.len() {
        9 if form == "AAA000000" => Some("CLIENT-ID"),
        24 if is_time && word.ends_with("+0000") => Some("LEGACY-TIME"),
        20.. if is_time && word.ends_with('Z') => Some("TIME"),
        32 if is_hex(word) => Some("KEY"),
        36 if word.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && word.split('-').all(is_hex) => Some("UUID"),
        _ => None,
    }
}

#[test]
fn every_page_is_listed_and_every_command_that_is_not_run() {
    let entries = fs::read_dir(root().join("docs")).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut pages: Vec<String> = names
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("docs/{name}"))
        .collect();
    pages.sort();
    pages.splice(0..0, ["README.md".to_owned(), "CONTRIBUTING.md".to_owned()]);
    assert_eq!(pages, PAGES);
    let mut not_run = Vec::new();
    for page in PAGES {
        let marked = blocks(page).into_iter().filter(|block| block.info == "sh no-run");
        not_run.extend(marked.map(|block| format!("{page}: {}", block.text.lines().next().unwrap_or_default())));
    }
    assert_eq!(not_run, NOT_RUN);
}

/// The request paths on the page of the architecture read `name` in `file`.
#[test]
fn request_paths_name_existing_functions() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).expect("the page is text");
    let (_, paths) = page.split_once("## Path of upsertClient").expect("a heading");
    let (mut names, mut checked) = (Vec::new(), 0);
    for name in paths.split('`').skip(1).step_by(2) {
        if !name.ends_with(".rs") {
            names.push(name);
            continue;
        }
        let text = fs::read_to_string(root().join(name)).unwrap_or_default();
        for function in names.drain(..) {
            let start = format!("fn {function}");
            let is_there = text.split(&start).skip(1).any(|rest| rest.starts_with(['(', '<']));
            assert!(is_there, "{function} isn't in {name}");
            checked += 1;
        }
    }
    assert!(checked > 10, "the paths are there");
    assert_eq!(names, [""; 0], "names without a file");
}

#[test]
fn masked_answers_differ_only_in_values_of_each_run() {
    assert_eq!(mask("\"812.1.a1f0Zq3f-0B_\""), "\"POSITION\"");
    let answer = r#"{"id":"ABC123456","at":"2026-11-22T19:23:43+0000","key":"01a204b6e17070e2996235536f30e1a7"}"#;
    let same = r#"{"id":"XYZ000001","at":"2027-01-01T09:00:01+0000","key":"d9df8bc78a0234ccc934a845cd9df8bc"}"#;
    assert_eq!(mask(answer), mask(same));
    for (from, to) in [("+0000", "Z"), ("ABC1", "ABCD1"), ("19:23:43", "00:00:00")] {
        assert_ne!(mask(answer), mask(&answer.replace(from, to)), "{from}");
    }
    for (expected, found, is_equal) in [("a …", "a ", true), ("a … c", "a b c", true), ("a … c", "a b", false)] {
        assert_eq!(fits(expected, found), is_equal, "{expected}");
    }
}

//! `clientele --version`, and the commit that `build.rs` finds out.

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::harness::program::{directory, run, text};

const NUMBER: &str = env!("CARGO_PKG_VERSION");

#[test]
fn version_has_the_commit() {
    let (printed, log, code) = run(&["--version"], &[]);
    assert_eq!((log.as_str(), code), ("", Some(0)));
    assert_eq!(printed, format!("clientele {}\n", clientele::version::TEXT));
    let build = clientele::version::TEXT.strip_prefix(NUMBER).expect("the number");
    let is_commit = |build: &str| {
        let build = build.strip_prefix(" (").and_then(|build| build.strip_suffix(')'));
        let (commit, date) = build.and_then(|build| build.split_once(' ')).unwrap_or_default();
        commit == clientele::version::COMMIT && date.parse::<chrono::NaiveDate>().is_ok()
    };
    assert!(["", " (debug build)"].contains(&build) || is_commit(build), "{build}");
}

/// The build script as a program.
fn script(directory: &TempDir) -> String {
    let program = directory.path().join("script").display().to_string();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs");
    let compiled = Command::new("rustc")
        .args(["--edition", "2024", "-o", &program])
        .arg(source)
        .status();
    assert!(compiled.expect("rustc").success());
    program
}

fn git(root: &Path, arguments: &[&str]) {
    let date = ("GIT_COMMITTER_DATE", "2026-11-30T10:00:00+00:00");
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["-c", "user.name=ana", "-c", "user.email=ana@bank.test"])
        .args(arguments)
        .envs([date, ("GIT_CONFIG_GLOBAL", "/dev/null")])
        .output();
    assert!(output.expect("git").status.success());
}

/// The variables that the script sets, and the files whose change repeats it.
fn build(script: &str, root: &Path, profile: &str, commit: &str) -> (Vec<String>, Vec<String>) {
    let output = Command::new(script)
        .envs([
            ("CARGO_MANIFEST_DIR", root.to_str().expect("text")),
            ("OUT_DIR", root.to_str().expect("text")),
            ("CARGO_PKG_VERSION", "1.2.3"),
            ("PROFILE", profile),
            ("BUILD_COMMIT", commit),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ])
        .current_dir(root)
        .output()
        .expect("the script starts");
    assert!(output.status.success(), "{}", text(output.stderr));
    let printed = text(output.stdout);
    let all = |prefix: &str| {
        printed
            .lines()
            .filter_map(|line| line.strip_prefix(prefix))
            .map(str::to_owned)
            .collect()
    };
    (all("cargo::rustc-env="), all("cargo::rerun-if-changed="))
}

fn variables(version: &str, commit: &str) -> Vec<String> {
    vec![format!("PROGRAM_VERSION={version}"), format!("PROGRAM_COMMIT={commit}")]
}

#[test]
fn build_script_names_the_commit_of_its_own_repository() {
    let directory = directory();
    let script = script(&directory);
    let root = directory.path().join("sources");
    fs::create_dir(&root).expect("a directory");
    let without_git = ["build.rs", "playground/dist"].map(str::to_owned).to_vec();
    let unknown = (variables("1.2.3", "unknown"), without_git.clone());
    assert_eq!(build(&script, &root, "release", ""), unknown);
    let named = (
        variables("1.2.3 (abcdef123456 2026-11-30)", "abcdef123456"),
        without_git.clone(),
    );
    for profile in ["release", "debug"] {
        assert_eq!(build(&script, &root, profile, "abcdef123456 2026-11-30"), named);
    }
    git(directory.path(), &["init", "--quiet"]);
    git(
        directory.path(),
        &["commit", "--quiet", "--allow-empty", "--message", "another repository"],
    );
    assert_eq!(build(&script, &root, "release", ""), unknown);
    git(&root, &["init", "--quiet"]);
    git(&root, &["commit", "--quiet", "--allow-empty", "--message", "its own"]);
    let (set, files) = build(&script, &root, "release", "");
    let version = set[0].strip_prefix("PROGRAM_VERSION=1.2.3 (").expect("the number");
    let (commit, date) = version.split_once(' ').expect("a commit and a date");
    assert!(
        commit.len() == 12 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{commit}"
    );
    assert_eq!((date, &*set[1]), ("2026-11-30)", &*format!("PROGRAM_COMMIT={commit}")));
    assert_eq!(files, ["build.rs", ".git/logs/HEAD", "playground/dist"]);
    let debug = (variables("1.2.3 (debug build)", "unknown"), without_git);
    assert_eq!(build(&script, &root, "debug", ""), debug);
}

//! Lists the playground's files for embedding, if they have been built (`npm run build` in `playground/`), and finds
//! out the commit for `--version`.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

/// Names the commit and its date, as in `abcdef123456 2026-11-30`, where there is no repository.
const VARIABLE: &str = "BUILD_COMMIT";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    set_version();
    list_playground()
}

/// The date is that of the commit and not of the build, so that builds of a commit are equal.
fn set_version() {
    let is_debug = env::var("PROFILE").is_ok_and(|profile| profile == "debug");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let named = env::var(VARIABLE).ok().filter(|named| !named.is_empty());
    // A debug build would have to be repeated after each commit.
    let commit = named.or_else(|| if is_debug { None } else { from_git() });
    let number = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let version = match &commit {
        Some(commit) => format!("{number} ({commit})"),
        None if is_debug => format!("{number} (debug build)"),
        None => number,
    };
    let commit = commit.as_deref().and_then(|commit| commit.split_whitespace().next());
    // Test runners pass these on to the tests: names that begin with CLIENTELE_ would be settings.
    println!("cargo::rustc-env=PROGRAM_VERSION={version}");
    println!("cargo::rustc-env=PROGRAM_COMMIT={}", commit.unwrap_or("unknown"));
}

/// None where the sources are a part of another repository, or of none.
fn from_git() -> Option<String> {
    let git = |arguments: &[&str]| {
        let root = env::var("CARGO_MANIFEST_DIR").ok()?;
        let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim_end_matches('\n').to_owned())
    };
    if !git(&["rev-parse", "--show-prefix"])?.is_empty() {
        return None;
    }
    // Each commit and checkout adds a line.
    println!(
        "cargo::rerun-if-changed={}",
        git(&["rev-parse", "--git-path", "logs/HEAD"])?
    );
    git(&["show", "--no-patch", "--format=%h %cs", "--abbrev=12", "HEAD"])
}

fn list_playground() -> io::Result<()> {
    // The folder always exists because of its .gitignore: cargo would rebuild every time for a missing path.
    let dist = Path::new(&env::var("CARGO_MANIFEST_DIR").unwrap_or_default()).join("playground/dist");
    println!("cargo::rerun-if-changed=playground/dist");

    let mut list = String::from("&[");
    if dist.join("index.html").is_file() {
        for entry in fs::read_dir(&dist)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name != ".gitignore" {
                let _ = write!(
                    list,
                    "({name:?}, include_bytes!({:?}) as &[u8]),",
                    path.display().to_string()
                );
            }
        }
    }
    list.push(']');
    fs::write(
        Path::new(&env::var("OUT_DIR").unwrap_or_default()).join("playground_files.rs"),
        list,
    )
}

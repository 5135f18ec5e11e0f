//! `clientele completions` and `clientele man`.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use crate::{
    harness::program::{directory, run},
    server::database_files::names,
};

/// All commands with a page of their own.
const COMMANDS: &[&str] = &[
    "audit",
    "audit-export",
    "audit-verify",
    "backup",
    "client",
    "client-erase",
    "completions",
    "config",
    "doctor",
    "export",
    "health",
    "import",
    "init",
    "man",
    "migrate",
    "migrate-status",
    "notify",
    "notify-receipt",
    "notify-test",
    "openapi",
    "schema",
    "seed",
    "serve",
    "session",
    "session-list",
    "session-revoke",
    "suppression",
    "suppression-add",
    "suppression-list",
    "suppression-remove",
    "token",
    "token-create",
    "token-list",
    "token-revoke",
    "user",
    "user-add",
    "user-list",
    "user-password",
    "user-remove",
    "user-set",
    "worker",
];

#[test]
fn completions_are_scripts_with_all_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (script, log, code) = run(&["completions", shell], &[]);
        assert_eq!((log.as_str(), code), ("", Some(0)), "{shell}");
        for command in COMMANDS {
            for word in command.split('-') {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
    let (script, _, _) = run(&["completions", "bash"], &[]);
    let mut bash = Command::new("bash")
        .arg("-n")
        .stdin(Stdio::piped())
        .spawn()
        .expect("bash");
    bash.stdin
        .take()
        .expect("piped")
        .write_all(script.as_bytes())
        .expect("read");
    assert!(bash.wait().expect("it ends").success());
    let (_, refused, code) = run(&["completions", "csh"], &[]);
    assert_eq!(
        (refused.as_str(), code),
        (
            "clientele: invalid value 'csh' for '<SHELL>' [possible values: bash, elvish, fish, powershell, zsh]; did \
             you mean 'zsh'? (see clientele completions --help)\n",
            Some(2)
        )
    );
}

#[test]
fn man_pages_describe_each_command() {
    let directory = directory();
    let pages = directory.path().join("share/man1");
    let (printed, log, code) = run(&["man", "--output", &pages.display().to_string()], &[]);
    assert_eq!((printed.as_str(), log.as_str(), code), ("", "", Some(0)));
    let mut found: Vec<String> = fs::read_dir(&pages)
        .expect("a directory")
        .map(|page| page.expect("a page").file_name().into_string().expect("text"))
        .collect();
    found.sort();
    let mut expected: Vec<String> = COMMANDS
        .iter()
        .map(|command| format!("clientele-{command}.1"))
        .collect();
    expected.push("clientele.1".to_owned());
    expected.sort();
    assert_eq!(found, expected);
    for page in &found {
        let text = fs::read_to_string(pages.join(page)).expect("text");
        let name = page.strip_suffix(".1").expect("its section").replace('-', "\\-");
        assert!(text.contains(".SH NAME\n") && text.contains(&name), "{page}:\n{text}");
    }
    let whole = fs::read_to_string(pages.join("clientele.1")).expect("text");
    let commands = COMMANDS.iter().filter(|command| !command.contains('-'));
    for command in commands {
        assert!(
            whole.contains(&format!("clientele\\-{command}(1)")),
            "{command}:\n{whole}"
        );
    }
    assert_eq!(run(&["man"], &[]), (whole, String::new(), Some(0)));
    // Again, over the pages of an earlier version.
    assert_eq!(run(&["man", "--output", &pages.display().to_string()], &[]).2, Some(0));
}

#[test]
fn directory_that_cannot_be_made_is_named() {
    let directory = directory();
    fs::write(directory.path().join("file"), "").expect("written");
    let inside = directory.path().join("file/man").display().to_string();
    let (_, refused, code) = run(&["man", "--output", &inside], &[]);
    let sentence = format!("clientele: can't write the pages to {inside}: Not a directory (os error 20)\n");
    assert_eq!((refused, code), (sentence, Some(1)));
    assert_eq!(names(&directory), ["file"]);
}

//! `clientele init`: writes a configuration that the program accepts, and never over another file unasked.

use std::{fs, os::unix::fs::symlink, process::Command};

use crate::{
    harness::program::{clientele, directory, text},
    server::database_files::{mode, names, run, runs},
};

const EXAMPLE: &str = include_str!("../../../config.example.toml");

#[test]
fn written_file_is_private_and_accepted() {
    let directory = directory();
    let printed = runs(&directory, &["init"], "");
    assert_eq!(
        printed,
        "clientele.toml has every setting with its default; only its owner can read it.\n\n\
         next:\n\
         1. edit clientele.toml: listen, database_url, and audit.key (openssl rand -base64 32)\n\
         2. check it:  clientele --config clientele.toml doctor\n\
         3. start:     clientele --config clientele.toml\n"
    );
    assert_eq!(names(&directory), ["clientele.toml"]);
    let file = directory.path().join("clientele.toml");
    assert_eq!(mode(&file), 0o600);
    assert_eq!(fs::read_to_string(&file).expect("text"), EXAMPLE);
    let settings = runs(&directory, &["--config", "clientele.toml", "config"], "");
    assert!(
        settings.contains("first_state = \"INACTIVE\"  # file clientele.toml\n"),
        "{settings}"
    );
    // The directory is as empty as before for the command that follows.
    let (findings, _, code) = run(
        &directory,
        &["--config", "clientele.toml", "doctor", "--listen", "127.0.0.1:0"],
        "",
    );
    assert!(findings.starts_with("OK       settings: "), "{findings}");
    assert_eq!(code, Some(0), "{findings}");
}

#[test]
fn existing_file_is_replaced_only_with_force() {
    let directory = directory();
    let file = directory.path().join("own.toml");
    fs::write(&file, "# mine\n").expect("written");
    let refused = "clientele: own.toml exists: name another file, or replace it with --force\n";
    let said = run(&directory, &["init", "--output", "own.toml"], "");
    assert_eq!(said, (String::new(), refused.to_owned(), Some(1)));
    assert_eq!(fs::read_to_string(&file).expect("text"), "# mine\n");
    runs(&directory, &["init", "--output", "own.toml", "--force"], "");
    assert_eq!(
        (fs::read_to_string(&file).expect("text").as_str(), mode(&file)),
        (EXAMPLE, 0o600)
    );
    symlink("own.toml", directory.path().join("link.toml")).expect("a link");
    let said = run(&directory, &["init", "--output", "link.toml", "--force"], "");
    let link = "clientele: link.toml isn't a file: name another one, or write to standard output with -\n";
    assert_eq!(said, (String::new(), link.to_owned(), Some(1)));
    let said = run(&directory, &["init", "--output", "absent/own.toml"], "");
    let absent = "clientele: can't write absent/own.toml: No such file or directory (os error 2)\n";
    assert_eq!(said, (String::new(), absent.to_owned(), Some(1)));
    assert_eq!(names(&directory), ["link.toml", "own.toml"]);
}

#[test]
fn given_values_are_written_and_others_refused() {
    let directory = directory();
    let url = "postgres://ana:a\"b@db.test/bank";
    let flags = ["--listen", "localhost:8443", "--database-url", url];
    let printed = runs(&directory, &[&["init"], &flags[..]].concat(), "");
    let first = "clientele.toml has every setting with its default or the given value; only its owner can read it.\n";
    assert!(printed.starts_with(first), "{printed}");
    let written = fs::read_to_string(directory.path().join("clientele.toml")).expect("text");
    let expected = EXAMPLE
        .replace("\nlisten = \"127.0.0.1:8080\"\n", "\nlisten = \"localhost:8443\"\n")
        .replace(
            "\ndatabase_url = \"sqlite:clientele.db\"\n",
            "\ndatabase_url = 'postgres://ana:a\"b@db.test/bank'\n",
        );
    assert_eq!(written, expected);
    for (flag, sentence) in [
        (
            "--config=own.toml",
            "init doesn't read --config: leave it out, and name the file to write with --output",
        ),
        (
            "--set=log.filter=info",
            "init doesn't write --set: leave it out, and change the setting in the written file",
        ),
        (
            "--database-url=mysql://db/bank",
            "database_url must begin with sqlite: or postgres://, as in postgres://USER:PASSWORD@HOST/NAME",
        ),
    ] {
        let said = run(&directory, &["init", "--output", "other.toml", flag], "");
        assert_eq!(said, (String::new(), format!("clientele: {sentence}\n"), Some(2)));
    }
    assert_eq!(names(&directory), ["clientele.toml"]);
}

#[test]
fn standard_output_gets_nothing_else() {
    let directory = directory();
    assert_eq!(runs(&directory, &["init", "--output", "-"], ""), EXAMPLE);
    assert_eq!(names(&directory), Vec::<String>::new());
}

/// Settings can be wrong before the file that corrects them exists.
#[test]
fn wrong_settings_of_the_environment_do_not_stop_it() {
    let directory = directory();
    let mut command = clientele(&directory, &["init"], &[("CLIENTELE_CONFIG", "clientele.toml")]);
    let output = command
        .env("CLIENTELE_LISTEN", "nowhere")
        .output()
        .expect("the program starts");
    assert_eq!((text(output.stderr).as_str(), output.status.code()), ("", Some(0)));
}

#[test]
fn full_disk_leaves_no_file() {
    let directory = directory();
    let program = clientele(&directory, &["init"], &[]);
    let mut command = Command::new("sh");
    // The limit is in blocks of 512 bytes.
    let script = "ulimit -f 8; exec \"$@\"";
    let output = command
        .current_dir(directory.path())
        .env_clear()
        .args(["-c", script, "sh"])
        .arg(program.get_program())
        .args(program.get_args())
        .output();
    let output = output.expect("the program starts");
    let sentence = "clientele: can't write clientele.toml: File too large (os error 27)\n";
    assert_eq!(
        (text(output.stderr).as_str(), output.status.code()),
        (sentence, Some(1))
    );
    assert_eq!(names(&directory), Vec::<String>::new());
}

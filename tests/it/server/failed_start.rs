//! A failed start prints one line with its cause on standard error.

use std::net::TcpListener;

use crate::harness::program::run;

#[test]
fn failed_start_prints_its_cause_in_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (in_use, hint) = (
        format!("can't listen on {address}: another program uses this port; choose another address with --listen"),
        "(see clientele --help)",
    );
    for (arguments, environment, sentence, code) in [
        (vec!["--listen", &address], vec![], in_use, 1),
        (
            vec!["serve", "--no-auth", "--listen", "0.0.0.0:0"],
            vec![],
            "--no-auth gives every caller all permissions: listen on a loopback address such as 127.0.0.1:8080".into(),
            2,
        ),
        (
            // The system resolves this name without a name server.
            vec!["serve", "--no-auth", "--listen", "0x0:0"],
            vec![],
            "--no-auth gives every caller all permissions: listen on a loopback address such as 127.0.0.1:8080".into(),
            2,
        ),
        (
            vec![
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--database-url",
                "sqlite:/nowhere/c.db",
            ],
            vec![],
            "can't open the database sqlite:/nowhere/c.db: the directory /nowhere doesn't exist: create it, or name \
             another".into(),
            1,
        ),
        (
            vec!["migrate"],
            vec![("DATABASE_URL", "sqlite:/proc/c.db")],
            "can't open the database sqlite:/proc/c.db: no file can be created in its directory /proc: No such file or \
             directory (os error 2)"
                .into(),
            1,
        ),
        (
            vec!["migrate"],
            vec![("DATABASE_URL", "postgres://teller:secret@127.0.0.1:1/bank")],
            "can't open the database postgres://teller:***@127.0.0.1:1/bank: 127.0.0.1:1 refuses connections: start \
             the server, or correct the host and the port"
                .into(),
            1,
        ),
        (
            vec!["--database-url", "sqlite::memory:"],
            vec![],
            "database_url must name a file, as in sqlite:clientele.db: a database in memory would be lost with \
             the process"
                .into(),
            2,
        ),
        (
            vec!["serve"],
            vec![("DATABASE_URL", "sqlite:?mode=rwc")],
            "database_url names no file: write sqlite:FILE, as in sqlite:clientele.db".into(),
            2,
        ),
        (
            vec!["migrate", "--database-url", "postgres://db/bank?pwd=secret&sslpassword=secret"],
            vec![],
            "database_url has the unknown parameter pwd: remove it; known are host, hostaddr, port, dbname, user, \
             password, sslmode, sslrootcert, sslcert, sslkey, application_name, options, statement-cache-capacity"
                .into(),
            2,
        ),
        (
            vec!["migrate", "--database-url", "host=h password=secret"],
            vec![],
            "database_url must begin with sqlite: or postgres://, as in postgres://USER:PASSWORD@HOST/NAME".into(),
            2,
        ),
        (
            vec!["--colour"],
            vec![],
            format!("unexpected argument '--colour' found {hint}"),
            2,
        ),
        (
            vec!["postgres://teller:secret@db/bank"],
            vec![],
            format!("unrecognized subcommand 'postgres://teller:***@db/bank' {hint}"),
            2,
        ),
        (
            vec!["host=h password='a secret'"],
            vec![],
            format!("unrecognized subcommand 'host=h password=***' {hint}"),
            2,
        ),
        (
            // The rest of the secret is in the next paragraph of the parser's message.
            vec!["host=h password='a\n\nsecret'"],
            vec![],
            format!("unrecognized subcommand 'host=h password=***' {hint}"),
            2,
        ),
        (
            // A key that was pasted in the place of its file's name.
            vec!["migrate"],
            vec![("DATABASE_URL", "postgres://teller@db/bank?sslcert=/dev/null&sslkey=hunter2")],
            "can't open the database postgres://teller@db/bank?sslcert=/dev/null&sslkey=***: the file that sslkey \
             names can't be read: No such file or directory (os error 2)"
                .into(),
            1,
        ),
        (
            vec!["--listen", "host=h password=secret"],
            vec![],
            format!(
                "invalid value 'host=h password=***' for '--listen <ADDR:PORT>': must be an address and a port, as in \
                 127.0.0.1:8080, localhost:8080 or [::]:8080 {hint}"
            ),
            2,
        ),
        (
            vec!["serve", "--listen", "no-such-host.invalid:0"],
            vec![],
            "can't listen on no-such-host.invalid:0: the host name no-such-host.invalid can't be resolved: check it, \
             and the name service"
                .into(),
            1,
        ),
        (
            vec!["config", "--config", "missing.toml"],
            vec![],
            "can't read the configuration file missing.toml: No such file or directory (os error 2)".into(),
            2,
        ),
        (
            vec!["config", "--config", "postgres://teller:secret@db/bank?password=secret"],
            vec![],
            "can't read the configuration file postgres://teller:***@db/bank?password=***: No such file or directory \
             (os error 2)"
                .into(),
            2,
        ),
        (
            vec!["config"],
            vec![("CLIENTELE_CLIENT__ID_PATTERN", "###")],
            "unknown setting CLIENTELE_CLIENT__ID_PATTERN in the environment: did you mean \
             CLIENTELE_CLIENTS__ID_PATTERN?"
                .into(),
            2,
        ),
    ] {
        let answer = run(&arguments, &environment);
        assert_eq!(
            answer,
            (String::new(), format!("clientele: {sentence}\n"), Some(code)),
            "{arguments:?}"
        );
    }
}

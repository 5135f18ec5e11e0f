//! The commands that change the database, with the rows that must be stored when they succeed.

use std::{io::Write, process::Stdio};

use clientele::db::{Database, DatabaseSettings};

use super::{
    NO_WORKER, SHORT_LOG, count,
    operation::{Caller, Operation, Stored},
};
use crate::harness::program::{self, Server};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    TokenCreate,
    TokenRevoke,
    UserAdd,
    UserRemove,
    ClientErase,
}

/// A command with its own object, which exists already if the command changes it.
pub struct Command {
    arguments: Vec<String>,
    pub stored: Stored,
}

impl Kind {
    pub const ALL: [Self; 5] = [
        Self::TokenCreate,
        Self::TokenRevoke,
        Self::UserAdd,
        Self::UserRemove,
        Self::ClientErase,
    ];

    /// Creates the object that the command changes. `name` is unique to this command.
    pub async fn prepare(self, url: &str, name: &str) -> Command {
        let permissions = ["--permissions", "VIEW_CLIENT"];
        let create_token = || [&["token", "create", name][..], &permissions].concat();
        let add_user = || [&["user", "add", name][..], &permissions].concat();
        let token_key;
        let (arguments, stored) = match self {
            Self::TokenCreate => (create_token(), Stored::row("api_token", "name", name)),
            Self::TokenRevoke => {
                succeeds(&create_token(), url);
                token_key = key(url, "SELECT encoded_key FROM api_token WHERE name = $1", name).await;
                let condition = format!("encoded_key = '{token_key}' AND revoked_at IS NOT NULL");
                let stored = Stored::rows("api_token", &condition);
                (vec!["token", "revoke", &token_key], stored)
            }
            Self::UserAdd => (add_user(), Stored::row("api_user", "name", name)),
            Self::UserRemove => {
                succeeds(&add_user(), url);
                (vec!["user", "remove", name], Stored::no_row("api_user", "name", name))
            }
            Self::ClientErase => {
                let server = Server::open(&[("DATABASE_URL", url), NO_WORKER, SHORT_LOG]);
                // The client, and its message.
                let _ = Operation::GraphqlChange
                    .prepare(&Caller::of(&server.address), name)
                    .await;
                server.signal("TERM");
                assert_eq!(server.wait().1, Some(0));
                let key = key(url, "SELECT encoded_key FROM client WHERE client_id = $1", name).await;
                let sql = format!(
                    "SELECT count(*) FROM audit_record JOIN audit_chain USING (chain) WHERE chain = '{key}' \
                     AND action = 'ERASED' AND NOT EXISTS (SELECT 1 FROM message WHERE client_key = '{key}') \
                     AND NOT EXISTS (SELECT 1 FROM client WHERE encoded_key = '{key}')"
                );
                (vec!["client", "erase", name, "--yes"], Stored(sql))
            }
        };
        Command {
            arguments: arguments.into_iter().map(str::to_owned).collect(),
            stored,
        }
    }
}

impl Command {
    /// Runs it to its end. Returns whether it succeeded, and its standard error.
    pub fn run(&self, environment: &[(&str, &str)]) -> (bool, String) {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        run(&arguments, environment)
    }

    pub async fn is_stored(&self, url: &str) -> bool {
        let database = look(url).await;
        let stored = count(&database, &self.stored.0).await == 1;
        database.close().await;
        stored
    }
}

async fn look(url: &str) -> Database {
    let database = Database::connect_to_look(url, &DatabaseSettings::default()).await;
    database.expect("the database is there")
}

/// Reads the key of the object with this name.
async fn key(url: &str, sql: &str, name: &str) -> String {
    let database = look(url).await;
    let row = database.read().one(sql, [name.into()]).await;
    let key = row.expect("it can be read").expect("the object is there");
    database.close().await;
    key.try_get_by_index(0).expect("a text")
}

fn succeeds(arguments: &[&str], url: &str) {
    let (succeeded, log) = run(arguments, &[("DATABASE_URL", url), SHORT_LOG]);
    assert!(succeeded, "{arguments:?}: {log}");
}

/// Runs the program with a password on standard input. It prints its result if, and only if, it succeeds.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> (bool, String) {
    let directory = program::directory();
    let mut command = program::clientele(&directory, arguments, environment);
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("the program starts");
    // A command that fails may end before it reads.
    let _ = child
        .stdin
        .take()
        .expect("piped")
        .write_all(b"a password for the tests\n");
    let output = child.wait_with_output().expect("it ends");
    let log = program::text(output.stderr);
    assert_eq!(
        output.status.code(),
        Some(i32::from(output.stdout.is_empty())),
        "{arguments:?}: {log}"
    );
    (output.status.success(), log)
}

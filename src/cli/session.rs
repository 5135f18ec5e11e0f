//! `clientele session`: lists and ends the sessions of users in browser applications.

use clap::Subcommand;

use super::store::{self, OpenMode};
use super::{Failure, is_missing, listed, print, refused};
use crate::config::Config;
use clientele_core::scalar::DateTime;
use clientele_domain::{
    access::{Accounts, BY_START, RevokeSession, Session},
    caller::Caller,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the sessions with their keys, users and times.
    List {
        /// Only sessions of the user of this name.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
    },
    /// Revoke a session, so that its tokens are refused from now on.
    ///
    /// Exit codes: 0 if the session is revoked; 1 if there is no such session, also when it ended before.
    Revoke {
        /// The key of the session, as `clientele session list` shows it.
        key: String,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    let mode = match command {
        Command::List { .. } => OpenMode::Look,
        Command::Revoke { .. } => OpenMode::Change,
    };
    store::with_services(config, mode, async |services| {
        execute(&services.accounts, command).await
    })
    .await
}

async fn execute(accounts: &Accounts, command: Command) -> Result<(), Failure> {
    let (operator, now) = (Caller::operator(), store::now());
    match command {
        Command::List { user } => {
            let user = user.as_deref();
            let part = async |window| accounts.sessions(&operator, user, &window, listed::ROWS, now).await;
            listed::print_all(&BY_START, part, line, Session::cursor).await
        }
        Command::Revoke { key } => {
            let input = RevokeSession {
                encoded_key: key,
                client_mutation_id: None,
            };
            let revoked = accounts
                .revoke_session(&operator, &input, now)
                .await
                .map_err(Failure::internal)?;
            revoked.map_err(|problems| match is_missing(&problems) {
                true => Failure::new("there is no session with this key: `clientele session list` shows the sessions"),
                false => refused(&problems),
            })?;
            print("the session has been revoked\n")
        }
    }
}

fn line(session: &Session) -> String {
    let [created, refreshed, end] = [
        &session.row.created_at,
        &session.row.refreshed_at,
        &session.row.refresh_expires_at,
    ]
    .map(DateTime::text);
    format!(
        "{}  {}  since {created}  refreshed {refreshed}  until {end}",
        session.row.encoded_key, session.user_name
    )
}

//! `clientele token`: manages API tokens. A new token is printed on standard output, once, and its key on standard
//! error, so that scripts get the token alone.

use std::io::{Write, stderr, stdout};

use chrono::{SubsecRound, TimeDelta};
use clap::Subcommand;

use super::store::{self, OpenMode};
use super::user::{Grant, list, shown};
use super::{Failure, is_missing, listed, print, refused};
use crate::config::Config;
use clientele_core::scalar::DateTime;
use clientele_domain::{
    access::{Accounts, BY_CREATION, CreateToken, MOST_DAYS, RevokeToken, Token},
    caller::Caller,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a token and print it; it can't be shown again. The key to revoke it is printed on standard error.
    Create {
        /// A name that says what the token is for.
        name: String,
        #[command(flatten)]
        grant: Grant,
        /// The number of days after which the token expires, five years at most; without it, it never expires.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=MOST_DAYS))]
        days: Option<u32>,
    },
    /// List the tokens with their keys, names and rights.
    List,
    /// Revoke a token, so that it is refused from now on.
    ///
    /// Exit codes: 0 if the token is revoked, also when it was revoked before: then the time of that is printed and
    /// nothing changes; 1 if there is no such token.
    Revoke {
        /// The key of the token, as `clientele token create` and `clientele token list` show it.
        key: String,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    let mode = match command {
        Command::List => OpenMode::Look,
        Command::Create { .. } | Command::Revoke { .. } => OpenMode::Change,
    };
    store::with_services(config, mode, async |services| {
        execute(&services.accounts, command).await
    })
    .await
}

async fn execute(accounts: &Accounts, command: Command) -> Result<(), Failure> {
    let (operator, now) = (Caller::operator(), store::now().trunc_subsecs(6));
    match command {
        Command::List => {
            let part = async |window| accounts.tokens(&operator, &window, listed::ROWS).await;
            listed::print_all(&BY_CREATION, part, line, Token::cursor).await
        }
        Command::Create { name, grant, days } => {
            let input = CreateToken {
                name,
                permissions: grant.permissions().ok_or_else(|| {
                    Failure::misconfigured(
                        "--permissions is missing: it lists the token's permissions, as VIEW_CLIENT or ALL",
                    )
                })?,
                view_sets: list(grant.view_sets).flatten(),
                edit_sets: list(grant.edit_sets).flatten(),
                branches: list(grant.branches).flatten(),
                centres: list(grant.centres).flatten(),
                role: grant.role,
                expires_at: days.map(|days| DateTime(now + TimeDelta::days(days.into()))),
                client_mutation_id: None,
            };
            let created = accounts
                .create_token(&operator, &input, now)
                .await
                .map_err(Failure::internal)?;
            let (token, text) = created.map_err(|problems| refused(&problems))?;
            let key = token.row.encoded_key;
            // The token can't be shown again, so a closed pipe is a failure here.
            writeln!(stdout().lock(), "{}", text.reveal()).map_err(|error| {
                Failure::new(format!(
                    "the token was created, and can't be printed: {error}. Revoke it: clientele token revoke {key}"
                ))
            })?;
            // `token list` shows the key, too.
            drop(writeln!(
                stderr().lock(),
                "to revoke the token: clientele token revoke {key}"
            ));
            Ok(())
        }
        Command::Revoke { key } => {
            let input = RevokeToken {
                encoded_key: key,
                client_mutation_id: None,
            };
            let revoked = accounts
                .revoke_token(&operator, &input, now)
                .await
                .map_err(Failure::internal)?;
            let token = revoked.map_err(|problems| match is_missing(&problems) {
                true => Failure::new("there is no token with this key: `clientele token list` shows the tokens"),
                false => refused(&problems),
            })?;
            print(&match token.row.revoked_at {
                Some(at) if at < now => {
                    format!(
                        "the token was revoked before, at {}: nothing has changed\n",
                        DateTime::text(&at)
                    )
                }
                _ => "the token has been revoked\n".to_owned(),
            })
        }
    }
}

fn line(token: &Token) -> String {
    let row = &token.row;
    let state = match (row.revoked_at, row.expires_at) {
        (Some(_), _) => "  (revoked)".to_owned(),
        (None, Some(end)) => format!("  until {}", DateTime::text(&end)),
        (None, None) => String::new(),
    };
    format!("{}  {}  {}{state}", row.encoded_key, row.name, shown(&token.rights))
}

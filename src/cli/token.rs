//! `clientele token …`: API tokens. A new one is printed on standard output, alone, this once.

use async_graphql::MaybeUndefined;
use chrono::{TimeDelta, Utc};
use clap::Subcommand;

use super::store::{self, Access};
use super::user::{Grant, shown};
use super::{Failure, listed, print, refused};
use crate::Clientele;
use crate::access::{
    BY_CREATION, Caller, CreateToken, MOST_DAYS, RevokeToken, Token, create_token, revoke_token, tokens,
};
use crate::config::Config;
use crate::scalar::DateTime;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Create a token and print it; it can't be shown again.
    Create {
        /// What it is for.
        name: String,
        #[command(flatten)]
        grant: Grant,
        /// Ends it after so many days, at most five years; it holds until it is revoked unless given.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=MOST_DAYS))]
        days: Option<u32>,
    },
    /// List the tokens with what they allow.
    List,
    /// Make a token worthless.
    Revoke {
        /// Its key, as `token list` shows it.
        key: String,
    },
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    store::with_clientele(config, Access::Change, async |clientele| {
        execute(&clientele, command).await
    })
    .await
}

#[expect(clippy::disallowed_methods, reason = "a command is a door")]
async fn execute(clientele: &Clientele, command: Command) -> Result<(), Failure> {
    let (operator, now) = (Caller::operator(), Utc::now());
    let failed = |error: crate::error::Error| Failure::new(error.to_string());
    match command {
        Command::List => {
            let part = async |window| tokens(clientele, &operator, &window, false).await;
            listed::print_all(&BY_CREATION, part, line, Token::cursor).await
        }
        Command::Create { name, grant, days } => {
            let sets = |sets| match sets {
                MaybeUndefined::Value(ids) => Some(ids),
                MaybeUndefined::Null | MaybeUndefined::Undefined => None,
            };
            let input = CreateToken {
                name,
                permissions: grant.permissions().ok_or_else(|| {
                    Failure::misconfigured("--permissions is missing: what the token allows, as VIEW_CLIENT or ALL")
                })?,
                view_sets: sets(grant.view_sets()),
                edit_sets: sets(grant.edit_sets()),
                role: grant.role(),
                expires_at: days.map(|days| DateTime(now + TimeDelta::days(days.into()))),
                client_mutation_id: None,
            };
            let created = create_token(clientele, &operator, &input, now).await.map_err(failed)?;
            let (_, text) = created.map_err(|problems| refused(&problems))?;
            print(&format!("{}\n", text.reveal()))
        }
        Command::Revoke { key } => {
            let input = RevokeToken {
                encoded_key: key,
                client_mutation_id: None,
            };
            let revoked = revoke_token(clientele, &operator, &input, now).await.map_err(failed)?;
            revoked.map_err(|problems| refused(&problems))?;
            print("the token has been revoked\n")
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
    format!("{}  {}  {}{state}\n", row.encoded_key, row.name, shown(&token.rights))
}

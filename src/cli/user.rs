//! `clientele user`: manages the users, who sign in with a name and a password. Passwords are read from the terminal or
//! standard input, because a command's arguments are visible to all users of the machine.

use std::io::{IsTerminal, stdin};

use async_graphql::MaybeUndefined;
use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};

use super::store::{self, OpenMode};
use super::{Failure, ask, is_missing, listed, print, refused};
use crate::config::Config;
use crate::services::Services;
use clientele_core::problem::Problem;
use clientele_core::scalar::DateTime;
use clientele_domain::{
    access::{BY_NAME, DeleteUser, UpsertUser, User},
    caller::{Caller, Limit, Permission, Rights, Sets},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a user; the password is asked for, or read from standard input.
    Add {
        /// The name to sign in with.
        name: String,
        #[command(flatten)]
        settings: UserSettings,
    },
    /// List the users with their rights.
    List,
    /// Change the rights of a user.
    Set {
        /// The name of the user.
        name: String,
        #[command(flatten)]
        settings: UserSettings,
    },
    /// Set a new password, which is asked for, or read from standard input.
    Password {
        /// The name of the user.
        name: String,
    },
    /// Remove a user. Tokens that the user created stay.
    ///
    /// Exit codes: 0 if the user is removed, also when they were removed before: then the time of that is printed
    /// and nothing changes; 1 if there never was such a user, or if they can't be removed.
    Remove {
        /// The name of the user.
        name: String,
    },
}

#[derive(Debug, Default, PartialEq, Args)]
pub(super) struct UserSettings {
    #[command(flatten)]
    grant: Grant,
    /// True if the user can sign in.
    #[arg(long, value_name = "true|false")]
    active: Option<bool>,
}

impl UserSettings {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The rights of a user or a token.
#[derive(Debug, Default, PartialEq, Args)]
pub(super) struct Grant {
    /// The permissions, separated by commas, as VIEW_CLIENT,CREATE_CLIENT; ALL for every permission. A new user has
    /// none by default; a new token must be given some.
    #[arg(long, value_name = "LIST", value_delimiter = ',', ignore_case = true, value_parser = permissions())]
    permissions: Option<Vec<Permissions>>,
    /// Ids of the custom field sets whose values can be viewed, in addition to those that can be edited; * for all,
    /// the default of a new user or token.
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub(super) view_sets: Option<Vec<String>>,
    /// Ids of the custom field sets whose values can be edited; * for all. The default of a new user or token are those
    /// that can be viewed.
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    pub(super) edit_sets: Option<Vec<String>>,
    /// Keys of the branches whose clients the user or token can access; * for no limit, the default of a new user
    /// or token.
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    pub(super) branches: Option<Vec<String>>,
    /// Keys of the centres whose clients can be accessed; * for no limit, the default of a new user or token.
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    pub(super) centres: Option<Vec<String>>,
    /// The role, for which the configuration can set limits; empty for none.
    #[arg(long)]
    pub(super) role: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Permissions(Vec<Permission>);

fn permissions() -> impl TypedValueParser<Value = Permissions> {
    let names = Permission::ALL.into_iter().map(Permission::as_str);
    PossibleValuesParser::new(["ALL"].into_iter().chain(names)).map(|name| {
        let one = Permission::parse(&name.to_ascii_uppercase());
        // The parser has refused every other name.
        Permissions(one.map_or_else(|| Permission::ALL.to_vec(), |one| vec![one]))
    })
}

impl Grant {
    pub(super) fn permissions(&self) -> Option<Vec<Permission>> {
        let given = self.permissions.as_ref()?;
        Some(given.iter().flat_map(|some| some.0.iter().copied()).collect())
    }
}

/// Custom field sets, branches or centres. Some(None) for all of them, None when none are given.
pub(super) fn list(given: Option<Vec<String>>) -> Option<Option<Vec<String>>> {
    given.map(|ids| match ids.iter().any(|id| id == "*") {
        true => None,
        false => Some(ids.into_iter().filter(|id| !id.is_empty()).collect()),
    })
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    let mode = match command {
        Command::Add { .. } => OpenMode::Create,
        Command::List => OpenMode::Look,
        Command::Set { .. } | Command::Password { .. } | Command::Remove { .. } => OpenMode::Change,
    };
    store::with_services(config, mode, async |services| execute(&services, command).await).await
}

async fn execute(services: &Services, command: Command) -> Result<(), Failure> {
    let accounts = &services.accounts;
    let (operator, now) = (Caller::operator(), store::now());
    if let Command::Set { .. } | Command::Password { .. } | Command::Remove { .. } = command
        && !accounts.any_user().await.map_err(Failure::internal)?
    {
        return Err(Failure::new(
            "there is no user yet: `clientele serve` creates the user admin when it starts, `clientele user add admin \
             --permissions ALL` a user whose password you choose",
        ));
    }
    match command {
        Command::List => {
            let part = async |window| accounts.users(&operator, &window, listed::ROWS).await;
            listed::print_all(&BY_NAME, part, line, User::cursor).await
        }
        Command::Add { name, settings } => {
            let rights = match settings.grant.permissions {
                Some(_) => String::new(),
                None => format!(" without permissions: clientele user set {name} --permissions VIEW_CLIENT"),
            };
            let mut input = input(&name, settings);
            input.password = MaybeUndefined::Value(ask(password).await?);
            let added = accounts
                .create_user(&operator, &input, now)
                .await
                .map_err(Failure::internal)?;
            added.map_err(|problems| refused(&problems))?;
            print(&format!("the user {name} has been added{rights}\n"))
        }
        Command::Set { name, settings } => {
            if settings.is_empty() {
                let sentence = "nothing has been changed: give an option, such as --permissions or --active";
                return Err(Failure::misconfigured(sentence));
            }
            let set = accounts.change_user(&operator, &input(&name, settings), now).await;
            set.map_err(Failure::internal)?
                .map_err(|problems| sentence(&problems))?;
            print(&format!("the user {name} has been changed\n"))
        }
        Command::Password { name } => {
            let mut input = input(&name, UserSettings::default());
            input.password = MaybeUndefined::Value(ask(password).await?);
            let set = accounts
                .change_user(&operator, &input, now)
                .await
                .map_err(Failure::internal)?;
            set.map_err(|problems| sentence(&problems))?;
            print(&format!("the user {name} has a new password\n"))
        }
        Command::Remove { name } => {
            let input = DeleteUser {
                name: name.clone(),
                client_mutation_id: None,
            };
            let removed = accounts
                .delete_user(&operator, &input, now)
                .await
                .map_err(Failure::internal)?;
            match removed {
                Ok(_) => print(&format!("the user {name} has been removed\n")),
                Err(problems) if is_missing(&problems) => {
                    let before = services
                        .audit
                        .user_removed_at(&operator, &name)
                        .await
                        .map_err(Failure::internal)?;
                    let before = before.ok_or_else(|| sentence(&problems))?;
                    let at = DateTime::text(&before);
                    print(&format!(
                        "the user {name} was removed before, at {at}: nothing has changed\n"
                    ))
                }
                Err(problems) => Err(refused(&problems)),
            }
        }
    }
}

/// The reason why a user couldn't be changed.
fn sentence(problems: &[Problem]) -> Failure {
    match is_missing(problems) {
        true => Failure::new("there is no user of this name: `clientele user list` shows the users"),
        false => refused(problems),
    }
}

fn line(user: &User) -> String {
    let state = if user.row.active { "" } else { "  (inactive)" };
    let role = user.row.role.as_deref().map(|role| format!("  role {role}"));
    let role = role.unwrap_or_default();
    format!("{}  {}{role}{state}", user.row.name, shown(&user.rights))
}

fn input(name: &str, settings: UserSettings) -> UpsertUser {
    let UserSettings { grant, active } = settings;
    UpsertUser {
        name: name.to_owned(),
        password: MaybeUndefined::Undefined,
        active,
        permissions: grant.permissions().map(Some).into(),
        view_sets: list(grant.view_sets).into(),
        edit_sets: list(grant.edit_sets).into(),
        branches: list(grant.branches).into(),
        centres: list(grant.centres).into(),
        role: grant.role.map(Some).into(),
        client_mutation_id: None,
    }
}

/// The rights of a user or a token, in one line.
pub(super) fn shown(rights: &Rights) -> String {
    let names: Vec<&str> = rights.permissions.iter().map(Permission::as_str).collect();
    let sets = |sets: &Sets| match sets {
        Sets::All => "*".to_owned(),
        Sets::These(ids) => ids.iter().cloned().collect::<Vec<_>>().join(","),
    };
    let limit = |name, limit: &Limit| match limit {
        Limit::None => String::new(),
        Limit::To(keys) if keys.is_empty() => format!("  {name} none"),
        Limit::To(keys) => format!("  {name} {}", keys.iter().cloned().collect::<Vec<_>>().join(",")),
    };
    format!(
        "{}  view sets {}  edit sets {}{}{}",
        names.join(","),
        sets(&rights.view_sets),
        sets(&rights.edit_sets),
        limit("branches", &rights.branches),
        limit("centres", &rights.centres)
    )
}

/// Reads one line: from the terminal without echo, or from standard input.
fn password() -> Result<String, Failure> {
    let line = match stdin().is_terminal() {
        true => rpassword::prompt_password("password: "),
        false => {
            let mut line = String::new();
            stdin().read_line(&mut line).map(|_| line)
        }
    };
    let line = line.map_err(|error| Failure::new(format!("can't read the password: {error}")))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

//! `clientele suppression`: lists and changes the recipients that get no messages.

use clap::{Args, Subcommand, ValueEnum};

use super::store::{self, OpenMode};
use super::{Failure, is_missing, listed, print, refused};
use crate::config::Config;
use clientele_core::scalar::DateTime;
use clientele_domain::{
    caller::Caller,
    enums::{Channel, SuppressionReason},
    notify::suppression::{AddSuppression, NEWEST_FIRST, RemoveSuppression, SuppressionFilter, Suppressions, cursor},
};
use entity::suppression;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the recipients on the suppression list, the newest first.
    List,
    /// Add a recipient to the suppression list: no message is sent to it any more.
    ///
    /// Exit codes: 0 if the recipient is on the list, also when it was before; 1 if it is no valid recipient.
    Add {
        #[command(flatten)]
        recipient: Recipient,
        /// The reason.
        #[arg(long, value_enum, default_value_t = Reason::Manual)]
        reason: Reason,
    },
    /// Remove a recipient from the suppression list.
    ///
    /// Messages that were suppressed stay so: resend them with the mutation `resendMessages` if they are still wanted.
    ///
    /// Exit codes: 0 if the recipient is removed; 1 if it isn't on the list.
    Remove {
        #[command(flatten)]
        recipient: Recipient,
    },
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Recipient {
    /// The recipient of e-mails.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// The recipient of text messages.
    #[arg(long, value_name = "NUMBER")]
    sms: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Reason {
    /// The address doesn't exist or takes no messages.
    HardBounce,
    /// The recipient reported a message as unwanted.
    Complaint,
    /// Another reason.
    Manual,
}

impl From<Reason> for SuppressionReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::HardBounce => Self::HardBounce,
            Reason::Complaint => Self::Complaint,
            Reason::Manual => Self::Manual,
        }
    }
}

impl Recipient {
    fn parts(self) -> Result<(Channel, String), Failure> {
        match (self.email, self.sms) {
            (Some(address), _) => Ok((Channel::Email, address)),
            (None, Some(number)) => Ok((Channel::Sms, number)),
            (None, None) => Err(Failure::misconfigured("name a recipient with --email or --sms")),
        }
    }
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    let mode = match command {
        Command::List => OpenMode::Look,
        Command::Add { .. } | Command::Remove { .. } => OpenMode::Change,
    };
    store::with_services(config, mode, async |services| {
        execute(&services.suppressions, command).await
    })
    .await
}

async fn execute(list: &Suppressions, command: Command) -> Result<(), Failure> {
    let (operator, now) = (Caller::operator(), store::now());
    match command {
        Command::List => {
            let all = SuppressionFilter::default();
            let part = async |window| list.page(&operator, &all, &window, listed::ROWS).await;
            listed::print_all(&NEWEST_FIRST, part, line, cursor).await
        }
        Command::Add { recipient, reason } => {
            let (channel, recipient) = recipient.parts()?;
            let input = AddSuppression {
                channel,
                recipient,
                reason: Some(reason.into()),
                client_mutation_id: None,
            };
            let added = list.add(&operator, &input, now).await.map_err(Failure::internal)?;
            let (_, added) = added.map_err(|problems| refused(&problems))?;
            print(match added {
                true => "the recipient has been added\n",
                false => "the recipient was on the list before: nothing has changed\n",
            })
        }
        Command::Remove { recipient } => {
            let (channel, recipient) = recipient.parts()?;
            let input = RemoveSuppression {
                channel,
                recipient,
                client_mutation_id: None,
            };
            let removed = list.remove(&operator, &input, now).await.map_err(Failure::internal)?;
            removed.map_err(|problems| match is_missing(&problems) {
                true => {
                    Failure::new("this recipient isn't on the list: `clientele suppression list` shows the recipients")
                }
                false => refused(&problems),
            })?;
            print("the recipient has been removed\n")
        }
    }
}

fn line(row: &suppression::Model) -> String {
    let since = DateTime::text(&row.created_at);
    format!(
        "{}  {}  {}  since {since}  by {}",
        row.channel, row.recipient, row.reason, row.caller_name
    )
}

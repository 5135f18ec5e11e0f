//! `clientele notify test`: sends one message over a configured channel, and reports the outcome. Needs no database.

use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{Failure, print, store, worker::channels};
use crate::config::Config;
use clientele_core::text::escaped;
use clientele_delivery::channel::{self, Outcome, Outgoing};
use clientele_domain::enums::{Channel, Reason};
use clientele_domain::notify::Content;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send one test message with the settings of the channel, and report the outcome.
    ///
    /// Exit codes: 0 if the provider has accepted the message; 1 if it was not sent; 2 if no provider is configured for
    /// the channel, or the configuration is wrong.
    Test(Recipient),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Recipient {
    /// Send it by e-mail to this address.
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    /// Send it by SMS to this number.
    #[arg(long, value_name = "NUMBER")]
    sms: Option<String>,
}

pub(super) async fn run(config: &Config, command: Command) -> Result<(), Failure> {
    let Command::Test(Recipient { email, sms }) = command;
    let (channel, recipient) = match (email, sms) {
        (Some(address), _) => (Channel::Email, address),
        (None, Some(number)) => (Channel::Sms, number),
        (None, None) => return Err(Failure::misconfigured("notify test takes --email or --sms")),
    };
    let channels = channels(config)?;
    if !channels.sends(channel) {
        return Err(Failure::misconfigured(unconfigured(channel)));
    }
    let message = Outgoing {
        key: Uuid::now_v7().to_string(),
        recipient,
        content: content(channel),
    };
    let outcome = channels.send(channel, &message, store::now()).await;
    match outcome {
        Outcome::Sent { provider_id: None } => print("sent: the provider has accepted it\n"),
        Outcome::Sent { provider_id: Some(id) } => {
            print(&format!("sent: the provider has accepted it as {}\n", escaped(&id)))
        }
        Outcome::Deferred { failure, after, .. } => {
            let after = after.map_or(String::new(), |after| {
                format!(" in {} s at the earliest", after.as_secs())
            });
            let later = format!("; the server would try again{after}");
            Err(Failure::new(sentence(channel, &failure) + &later))
        }
        Outcome::Refused(failure) | Outcome::Unusable(failure) => Err(Failure::new(sentence(channel, &failure))),
    }
}

/// Names the settings that a channel without a provider lacks.
fn unconfigured(channel: Channel) -> String {
    let Keys { section, server, .. } = Keys::of(channel);
    let transport = match channel {
        Channel::Email => "smtp",
        Channel::Sms => "http",
    };
    format!(
        "not sent: no provider is configured. {section}.transport is \"log\", which only writes to the log: set it to \
         \"{transport}\", and set {section}.{server} and {section}.from"
    )
}

fn content(channel: Channel) -> Content {
    let text = "This is a test message of clientele. If you can read it, messages to clients arrive.";
    Content {
        subject: match channel {
            Channel::Email => "Test message of clientele".to_owned(),
            Channel::Sms => String::new(),
        },
        text: text.to_owned(),
        html: None,
    }
}

fn sentence(channel: Channel, failure: &channel::Failure) -> String {
    let (reason, setting) = explain(channel, failure);
    let check = setting.map_or(String::new(), |setting| format!("; check {setting}"));
    format!("not sent: {reason}{check}")
}

/// The reason of a failure, with the provider's text if there is one, and the setting to check first.
pub(super) fn explain(channel: Channel, failure: &channel::Failure) -> (String, Option<String>) {
    let Keys {
        section,
        server,
        encryption,
    } = Keys::of(channel);
    let (reason, check) = match failure.reason {
        Reason::Connection => ("there is no connection to the provider", Some(server)),
        Reason::Timeout => ("the provider didn't answer in time", Some(server)),
        Reason::Tls => ("no encrypted connection could be established", Some(encryption)),
        Reason::Credentials => ("the provider doesn't accept the credentials", Some("username")),
        Reason::Deferred => ("the provider asks to be tried later", None),
        Reason::ProviderError => ("the provider failed", None),
        Reason::Refused => ("the provider refused the message", Some("from")),
        Reason::InvalidRecipient => ("the recipient can't be reached", None),
        Reason::TooLong => ("the message is too long", None),
        Reason::Unrenderable | Reason::Internal => ("the message couldn't be written", None),
    };
    let detail = failure.detail.as_ref();
    let detail = detail.map_or(String::new(), |detail| format!(" ({detail})"));
    (format!("{reason}{detail}"), check.map(|key| format!("{section}.{key}")))
}

/// The names of a channel's settings.
struct Keys {
    section: &'static str,
    server: &'static str,
    encryption: &'static str,
}

impl Keys {
    fn of(channel: Channel) -> Self {
        match channel {
            Channel::Email => Self {
                section: "notifications.email",
                server: "host",
                encryption: "encryption and ca_file",
            },
            Channel::Sms => Self {
                section: "notifications.sms",
                server: "url",
                encryption: "ca_file",
            },
        }
    }
}

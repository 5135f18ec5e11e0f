//! `clientele notify`: sends a test message over a configured channel, which needs no database, and records the reports
//! of mail servers.

use std::io::{Read, copy, sink, stdin};

use clap::{Args, Subcommand, ValueEnum};
use uuid::Uuid;

use super::store::{self, OpenMode};
use super::{Failure, print, worker::channels};
use crate::config::Config;
use clientele_core::text::escaped;
use clientele_delivery::channel::{self, Outcome, Outgoing};
use clientele_delivery::quiet_hours::QuietHours;
use clientele_delivery::report;
use clientele_domain::caller::Caller;
use clientele_domain::enums::{Channel, Provider, Reason};
use clientele_domain::notify::Content;
use clientele_domain::notify::receipt::ReceiptCounts;

/// The largest report that is read, in bytes: one contains the message, which has at most some hundred KiB.
const LARGEST_REPORT: u64 = 10 << 20;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send one test message with the settings of the channel, and report the outcome.
    ///
    /// It is sent at once, also in quiet hours, and doesn't count for the rate.
    ///
    /// Exit codes: 0 if the provider has accepted the message; 1 if it was not sent; 2 if no provider is configured for
    /// the channel, or the configuration is wrong.
    Test(Test),
    /// Record the report of a mail server about a message, which it reads from standard input.
    ///
    /// The report is a delivery status notification (RFC 3464) or a complaint (RFC 5965), as a whole e-mail. Let your
    /// mail server pipe the mail to the sender of messages into this command.
    ///
    /// Exit codes: 0 if the report is recorded, also when it changes nothing, its message doesn't exist or the mail is
    /// no report; 75 if the settings or the database can't be used, so that the mail server tries again later.
    Receipt,
}

#[derive(Debug, Args)]
pub(super) struct Test {
    #[command(flatten)]
    recipient: Recipient,
    /// The provider that sends it.
    #[arg(long, value_enum, default_value_t = Choice::Primary)]
    provider: Choice,
}

/// A provider of a channel.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Choice {
    /// The first one.
    Primary,
    /// The one that takes messages while the first one fails.
    Fallback,
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
    let Command::Test(Test {
        recipient: Recipient { email, sms },
        provider,
    }) = command
    else {
        return record(config).await;
    };
    let (channel, recipient) = match (email, sms) {
        (Some(address), _) => (Channel::Email, address),
        (None, Some(number)) => (Channel::Sms, number),
        (None, None) => return Err(Failure::misconfigured("notify test takes --email or --sms")),
    };
    let channels = channels(config)?;
    if !channels.sends(channel) {
        return Err(Failure::misconfigured(unconfigured(channel)));
    }
    let provider = match provider {
        Choice::Primary => Provider::Primary,
        Choice::Fallback if channels.has_fallback(channel) => Provider::Fallback,
        Choice::Fallback => return Err(Failure::misconfigured(without_fallback(channel))),
    };
    let message = Outgoing {
        key: Uuid::now_v7().to_string(),
        resent_at: None,
        recipient,
        content: content(channel),
    };
    let outcome = channels.send(channel, provider, &message, store::now()).await;
    match outcome {
        Outcome::Sent { provider_id } => {
            let id = provider_id.map_or(String::new(), |id| format!(" as {}", escaped(&id)));
            print(&format!("sent: the provider has accepted it{id}\n"))?;
            print(&quiet_hours(config, channel))
        }
        Outcome::Deferred { failure, after, .. } => {
            let after = after.map_or(String::new(), |after| {
                format!(" in {} s at the earliest", after.as_secs())
            });
            let later = format!("; the server would try again{after}");
            Err(Failure::new(sentence(channel, provider, &failure) + &later))
        }
        Outcome::Refused(failure) | Outcome::Unusable(failure) => {
            Err(Failure::new(sentence(channel, provider, &failure)))
        }
    }
}

/// Reads a report from standard input and records it.
async fn record(config: &Config) -> Result<(), Failure> {
    let mut mail = Vec::new();
    let read = stdin().lock().take(LARGEST_REPORT + 1).read_to_end(&mut mail);
    read.map_err(|error| Failure::new(format!("standard input can't be read: {error}")).temporary())?;
    // A mail that isn't a report, such as a client's reply, must not come back to its sender.
    if mail.len() as u64 > LARGEST_REPORT {
        // A mail server must be able to write all of it.
        let _ = copy(&mut stdin().lock(), &mut sink());
        let most = LARGEST_REPORT >> 20;
        return print(&format!(
            "nothing has been recorded: the mail has more than {most} MiB: let the mail server return headers only\n"
        ));
    }
    let receipts = match report::receipts(&mail) {
        Ok(receipts) => receipts,
        Err(error) => return print(&format!("nothing has been recorded: {error}\n")),
    };
    let operator = Caller::operator();
    let counts = store::with_services(config, OpenMode::Change, async |services| {
        let recorded = services.messages.record_receipts(&operator, &receipts, store::now());
        recorded.await.map_err(Failure::internal)
    });
    let counts = counts.await.map_err(Failure::temporary)?;
    print(match counts {
        ReceiptCounts { foreign: 1.., .. } => {
            "nothing has changed: the report is about a message that this server didn't send: its Message-ID isn't one \
             of its own\n"
        }
        ReceiptCounts { unknown: 1.., .. } => "nothing has changed: there is no message with this Message-ID\n",
        ReceiptCounts { delivered: 1.., .. } => "recorded: the message was delivered\n",
        ReceiptCounts { complained: 1.., .. } => "recorded: the recipient has complained and gets no further e-mails\n",
        ReceiptCounts {
            bounced: 1..,
            suppressed: 0,
            ..
        } => "recorded: the message came back\n",
        ReceiptCounts { bounced: 1.., .. } => {
            "recorded: the message came back, and its recipient gets no further e-mails\n"
        }
        _ => "nothing has changed: the report is about a delay, or was recorded before\n",
    })
}

/// Names the settings that a channel without a provider lacks.
fn unconfigured(channel: Channel) -> String {
    let Keys { section, server, .. } = Keys::of(channel, Provider::Primary);
    let transport = match channel {
        Channel::Email => "smtp",
        Channel::Sms => "http",
    };
    format!(
        "not sent: no provider is configured. {section}.transport is \"log\", which only writes to the log: set it to \
         \"{transport}\", and set {section}.{server} and {section}.from"
    )
}

fn without_fallback(channel: Channel) -> String {
    let Keys { section, server, .. } = Keys::of(channel, Provider::Fallback);
    format!("not sent: no fallback is configured: set {section}.{server}, or leave out --provider")
}

/// A line about the quiet hours, during which the test doesn't show when clients get messages.
fn quiet_hours(config: &Config, channel: Channel) -> String {
    let settings = &config.notifications.sms.quiet_hours;
    let hours = QuietHours::new(settings).ok().flatten();
    match hours.filter(|_| channel == Channel::Sms) {
        Some(hours) if hours.end(store::now()).is_some() => {
            let zone = &settings.zone;
            format!(
                "these are quiet hours: messages to clients wait until {} {zone}\n",
                settings.to
            )
        }
        _ => String::new(),
    }
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

fn sentence(channel: Channel, provider: Provider, failure: &channel::Failure) -> String {
    let (reason, setting) = explain(channel, provider, failure);
    let check = setting.map_or(String::new(), |setting| format!("; check {setting}"));
    format!("not sent: {reason}{check}")
}

/// The reason of a failure, with the provider's text if there is one, and the setting to check first.
pub(super) fn explain(channel: Channel, provider: Provider, failure: &channel::Failure) -> (String, Option<String>) {
    let Keys {
        section,
        connection,
        encryption,
        ..
    } = Keys::of(channel, provider);
    let (reason, check) = match failure.reason {
        Reason::Connection => ("there is no connection to the provider", Some(connection)),
        Reason::Timeout => ("the provider didn't answer in time", Some(connection)),
        Reason::Tls => ("no encrypted connection could be established", Some(encryption)),
        Reason::Credentials => (
            "the provider doesn't accept the credentials",
            Some("username and password"),
        ),
        Reason::Deferred => ("the provider asks to be tried later", None),
        Reason::ProviderError => ("the provider failed", None),
        Reason::Refused => ("the provider refused the message", Some("from")),
        Reason::InvalidRecipient => ("the recipient can't be reached", None),
        Reason::TooLong => ("the message is too long", None),
        Reason::Unrenderable | Reason::Internal => ("the message couldn't be written", None),
        // Only messages have these reasons, after a receipt or because of a limit; failed attempts never do.
        reason @ (Reason::Undelivered
        | Reason::SoftBounce
        | Reason::HardBounce
        | Reason::Complaint
        | Reason::SuppressionList
        | Reason::RecipientLimit
        | Reason::CallerLimit) => (reason.as_str(), None),
    };
    let detail = failure.detail.as_ref();
    let detail = detail.map_or(String::new(), |detail| format!(" ({detail})"));
    (format!("{reason}{detail}"), check.map(|key| format!("{section}.{key}")))
}

/// The names of a provider's settings.
struct Keys {
    section: &'static str,
    server: &'static str,
    /// Those that decide if the server is reached and understood.
    connection: &'static str,
    encryption: &'static str,
}

impl Keys {
    fn of(channel: Channel, provider: Provider) -> Self {
        let section = match (channel, provider) {
            (Channel::Email, Provider::Primary) => "notifications.email",
            (Channel::Email, Provider::Fallback) => "notifications.email.fallback",
            (Channel::Sms, Provider::Primary) => "notifications.sms",
            (Channel::Sms, Provider::Fallback) => "notifications.sms.fallback",
        };
        let (server, connection, encryption) = match channel {
            Channel::Email => ("host", "host, port and encryption", "encryption and ca_file"),
            Channel::Sms => ("url", "url", "ca_file"),
        };
        Self {
            section,
            server,
            connection,
            encryption,
        }
    }
}

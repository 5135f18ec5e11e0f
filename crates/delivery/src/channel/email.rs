//! E-mail over SMTP: one message to one recipient, on a connection that is kept for the next message.
//!
//! Uses the library's connections, but not its pool. That pool takes back a connection whose attempt was cancelled, and
//! the next message would read the replies to the previous one.

mod connection;
mod reply;

use std::time::Duration;

use chrono::{DateTime, Utc};
use lettre::Address;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, MultiPartBuilder, SinglePart};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};

use super::super::settings::EmailProviderSettings;
use super::{Failure, Outcome, Outgoing, SettingsError, cleaned, refused};
use clientele_core::{
    mail_address::{ascii_domain, is_address},
    text::has_control_characters,
};
use clientele_domain::enums::Reason;
use connection::{IdleConnections, Server};
use reply::Stage;

/// In characters. A header line has at most 998 bytes, and non-ASCII text is folded.
const LONGEST_SUBJECT: usize = 255;

pub(super) struct Email {
    from: Mailbox,
    /// The domain of the Message-IDs.
    id_domain: String,
    server: Server,
    idle: IdleConnections,
    timeout: Duration,
}

/// Returns true when e-mails can be sent from this address, with or without a display name. The address must be ASCII:
/// it is used where nothing else is allowed, such as the Message-ID. It follows the rules of all addresses, see
/// [`is_address`].
pub fn is_mailbox(text: &str) -> bool {
    mailbox(text).is_some()
}

fn mailbox(text: &str) -> Option<Mailbox> {
    let mailbox: Mailbox = text.parse().ok()?;
    let address = mailbox.email.to_string();
    (!has_control_characters(text) && address.is_ascii() && is_address(&address)).then_some(mailbox)
}

/// The address of the recipient, with its domain in ASCII for any mail server. None unless the text is exactly one
/// address, so that it can't add a recipient or a header.
fn recipient(text: &str) -> Option<Address> {
    let address: Address = text.parse().ok()?;
    if has_control_characters(text) {
        return None;
    }
    match ascii_domain(address.domain()) {
        Some(domain) => Address::new(address.user(), domain).ok(),
        // Addresses stored under earlier rules, such as name@localhost.
        None => Some(address),
    }
}

impl Email {
    /// `section` is the settings' name.
    pub(super) fn new(
        settings: &EmailProviderSettings,
        section: &str,
        concurrency: u32,
    ) -> Result<Self, SettingsError> {
        let from = mailbox(&settings.from)
            .ok_or_else(|| SettingsError(format!("{section}.from must be an e-mail address")))?;
        Ok(Self {
            id_domain: from.email.domain().to_owned(),
            from,
            server: Server::new(settings, section)?,
            idle: IdleConnections::new(usize::try_from(concurrency).unwrap_or(usize::MAX)),
            timeout: Duration::from_secs(settings.timeout_seconds),
        })
    }

    /// Gives messages the Message-IDs that another provider gives them, so that recipients can drop repeats.
    pub(super) fn with_message_ids_of(mut self, other: &Self) -> Self {
        self.id_domain.clone_from(&other.id_domain);
        self
    }

    pub(super) fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    pub(super) async fn send(&self, message: &Outgoing, now: DateTime<Utc>) -> Outcome {
        let Some(to) = recipient(&message.recipient) else {
            return refused(Reason::InvalidRecipient, "this is not an e-mail address");
        };
        let Some(text) = rendered(&self.from, &self.id_domain, &to, message, now) else {
            return refused(Reason::InvalidRecipient, "no e-mail can be addressed so");
        };
        // Without this limit, a server that stops answering would block the attempt forever. A timeout drops the
        // connection.
        match tokio::time::timeout(self.timeout, self.attempt(&to, &text)).await {
            Ok(Ok(outcome) | Err(outcome)) => outcome,
            Err(_) => reply::timeout(self.timeout),
        }
    }

    /// Connects, encrypts and signs in as for a message, and takes leave.
    pub(super) async fn probe(&self) -> Result<(), Failure> {
        let connected = tokio::time::timeout(self.timeout, self.server.connect(self.timeout)).await;
        let mut connection = connected
            .unwrap_or_else(|_| Err(reply::timeout(self.timeout)))
            .map_err(|outcome| outcome.failure().unwrap_or_else(|| Reason::Internal.into()))?;
        // The outcome is known by now.
        let _ = tokio::time::timeout(self.timeout, connection.quit()).await;
        Ok(())
    }

    async fn attempt(&self, to: &Address, text: &str) -> Result<Outcome, Outcome> {
        let mut connection = self.start(to, text).await?;
        let outcome = transmit(&mut connection, to, text).await;
        // After a reply the conversation is in a known state; without a reply it isn't.
        if let Ok(outcome) | Err((outcome, true)) = outcome {
            self.idle.keep(connection);
            return Ok(outcome);
        }
        outcome.map_err(|(outcome, _)| outcome)
    }

    /// Returns a connection that has accepted the sender. Servers close connections that were idle or used for long,
    /// which says nothing about the message. Therefore a kept connection that fails is replaced, and only the new one's
    /// reply counts.
    async fn start(&self, to: &Address, text: &str) -> Result<AsyncSmtpConnection, Outcome> {
        if let Some(mut kept) = self.idle.take(self.timeout).await {
            let parameters = parameters(&kept, to, text)?;
            let mail = Mail::new(Some(self.from.email.clone()), parameters);
            if reply::checked(Stage::Sender, 250, kept.command(mail).await).is_ok() {
                return Ok(kept);
            }
        }
        let mut new = self.server.connect(self.timeout).await?;
        let mail = Mail::new(Some(self.from.email.clone()), parameters(&new, to, text)?);
        match reply::checked(Stage::Sender, 250, new.command(mail).await) {
            Ok(_) => Ok(new),
            Err((outcome, _)) => Err(outcome),
        }
    }
}

/// On failure, the flag is true when the connection can be reused.
async fn transmit(connection: &mut AsyncSmtpConnection, to: &Address, text: &str) -> Result<Outcome, (Outcome, bool)> {
    let rcpt = connection.command(Rcpt::new(to.clone(), Vec::new())).await;
    reply::checked(Stage::Recipient, 250, rcpt)?;
    reply::checked(Stage::Message, 354, connection.command(Data).await)?;
    let last = reply::checked(Stage::Message, 250, connection.command(text).await)?;
    let words: Vec<&str> = last.message().collect();
    Ok(Outcome::Sent {
        provider_id: cleaned(&words.join(" ")),
    })
}

/// The extensions for a message that isn't ASCII. Only addresses can be non-ASCII: the rest is encoded.
fn parameters(connection: &AsyncSmtpConnection, to: &Address, text: &str) -> Result<Vec<MailParameter>, Outcome> {
    let mut parameters = Vec::new();
    if !to.to_string().is_ascii() {
        if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(refused(
                Reason::InvalidRecipient,
                "the mail server takes ASCII addresses only",
            ));
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !text.is_ascii() {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    Ok(parameters)
}

/// Renders the e-mail as sent over the wire, including the final dot. The same message at the same time gives the same
/// text. None when it can't be built, which isn't known to happen.
fn rendered(from: &Mailbox, id_domain: &str, to: &Address, message: &Outgoing, now: DateTime<Utc>) -> Option<String> {
    let Outgoing {
        key,
        resent_at: _,
        recipient: _,
        content,
    } = message;
    // Keys contain no other characters; this ensures that they are safe in a header.
    let key: String = key
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-')
        .collect();
    let builder = Message::builder()
        .message_id(Some(format!("<{key}@{id_domain}>")))
        .date(now.into())
        .from(from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(subject(&content.subject))
        // Suppresses automatic replies such as out-of-office notices.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
    let text = SinglePart::plain(lines(&content.text));
    let message = match &content.html {
        None => builder.singlepart(text),
        Some(html) => builder.multipart(
            alternative(&key)
                .singlepart(text)
                .singlepart(SinglePart::html(lines(html))),
        ),
    };
    String::from_utf8(message.ok()?.formatted())
        .ok()
        .map(|text| with_end(&text))
}

/// One line, short enough for any server. Encoded words in it are escaped: mail clients must not decode parts of a
/// name.
fn subject(text: &str) -> String {
    one_line(text)
        .replace("=?", "= ?")
        .chars()
        .take(LONGEST_SUBJECT)
        .collect()
}

/// Appends the final dot and doubles each dot at the start of a line. Returns one piece: sent as two, the second would
/// wait for the acknowledgement of the first, which takes 40 ms.
fn with_end(text: &str) -> String {
    let text = text.strip_suffix("\r\n").unwrap_or(text);
    // Line ends are CRLF here, and nothing else is one.
    format!("{}\r\n.\r\n", text.replace("\r\n.", "\r\n.."))
}

/// A part can't contain the boundary by accident; to contain it on purpose, the author must know the key in advance.
fn alternative(key: &str) -> MultiPartBuilder {
    let boundary: String = key.chars().take(60).collect();
    MultiPart::alternative().boundary(format!("_{boundary}_"))
}

/// Replaces characters that could end a header with a space.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// Normalizes line ends and removes control characters: mail servers disagree about a lone carriage return.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
        .chars()
        .map(|letter| match letter {
            '\r' => '\n',
            '\n' | '\t' => letter,
            letter if letter.is_control() => ' ',
            letter => letter,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use lettre::transport::smtp::commands::Rcpt;
    use proptest::{prelude::*, string::string_regex};

    use super::{Outgoing, mailbox, recipient, rendered};
    use clientele_core::mail_address::is_address;
    use clientele_domain::notify::Content;

    /// Texts that look like addresses, valid and invalid.
    fn address() -> impl Strategy<Value = String> {
        let of = |form: &str| string_regex(form).expect("a valid pattern");
        let name = prop_oneof![
            4 => of("[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,8}"),
            2 => of("[a-zé例\\PC]{1,6}"),
            1 => of("\"[ -~]{1,4}\"|[ -~\\r\\n]{1,6}"),
        ];
        let label = || {
            prop_oneof![
                4 => of("[a-z0-9-]{1,6}"),
                2 => of("[a-zA-Zéßя例ｅ]{1,4}"),
                1 => of("\\PC{1,3}|[!-~]{1,3}"),
            ]
        };
        let domain = (label(), label(), label(), 0..3usize);
        (name, domain).prop_map(|(name, (a, b, c, dots))| match dots {
            0 => format!("{name}@{a}"),
            1 => format!("{name}@{a}.{b}"),
            _ => format!("{name}@{a}.{b}.{c}"),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 1_000,
            max_global_rejects: 100_000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// Any address that a client can have can receive mail.
        #[test]
        fn accepted_address_can_be_mailed(address in address()) {
            prop_assume!(is_address(&address));
            let to = recipient(&address).expect("a recipient");
            prop_assert!(to.domain().is_ascii());
            let command = Rcpt::new(to.clone(), Vec::new()).to_string();
            prop_assert_eq!(&command, &format!("RCPT TO:<{to}>\r\n"));
            let message = Outgoing {
                key: "key".to_owned(),
                resent_at: None,
                recipient: address,
                content: Content { subject: "Subject".to_owned(), text: "Text".to_owned(), html: None },
            };
            let from = mailbox("Bank <service@bank.test>").expect("a sender");
            let written = rendered(&from, "bank.test", &to, &message, DateTime::UNIX_EPOCH).expect("an e-mail");
            let unfolded = written.replace("\r\n ", " ");
            let line = unfolded.lines().find(|line| line.starts_with("To: ")).expect("a header");
            prop_assert_eq!(line, format!("To: {to}"));
        }
    }
}

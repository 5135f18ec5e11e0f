//! Reads the reports that mail servers send about messages: delivery status notifications (RFC 3464), which say that a
//! message was delivered or came back, and complaints (RFC 5965).
//!
//! A report contains the message that it is about, or its headers. The Message-ID there has the message's key.

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

use chrono::{DateTime, Utc};
use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders};

use clientele_domain::{
    enums::ReceiptStatus,
    notify::receipt::{Receipt, ReceiptMessage},
};

/// Limit of the recipients of one report. Messages have one recipient, who can be a list.
const MOST_RECIPIENTS: usize = 100;

/// The reason why a text is no report about a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    #[error("this isn't an e-mail: send the whole message as the mail server received it, with its headers")]
    NotMail,
    #[error(
        "this isn't a report about a message: it must be multipart/report with a part message/delivery-status (RFC \
         3464) or message/feedback-report (RFC 5965)"
    )]
    NotReport,
    #[error(
        "the report doesn't say which message it is about: it must contain the message or its headers, with the \
         Message-ID"
    )]
    NoMessage,
}

/// Reads a report from a whole e-mail. Reports about delays have no receipts.
///
/// # Errors
/// The reason why it is no report about a message.
pub fn receipts(mail: &[u8]) -> Result<Vec<Receipt>, ReportError> {
    let mail = MessageParser::default().parse(mail).ok_or(ReportError::NotMail)?;
    let status = part(&mail, |kind, subtype| {
        kind == "message"
            && matches!(
                subtype,
                "delivery-status" | "global-delivery-status" | "feedback-report"
            )
    });
    let Some((part, subtype)) = status else {
        return Err(ReportError::NotReport);
    };
    let text = String::from_utf8_lossy(part.contents());
    let message = original_message_id(&mail).ok_or(ReportError::NoMessage)?;
    let message = ReceiptMessage::of_message_id(&message);
    let groups = groups(&text);
    if subtype == "feedback-report" {
        return Ok(groups.iter().filter_map(|group| complaint(group, &message)).collect());
    }
    // The first group is about the message as a whole.
    let recipients = groups.iter().skip(1).take(MOST_RECIPIENTS);
    Ok(recipients.filter_map(|group| outcome(group, &message)).collect())
}

/// The first part of a type that is accepted, with its subtype in lower case.
fn part<'m, 'x>(mail: &'m Message<'x>, accepts: impl Fn(&str, &str) -> bool) -> Option<(&'m MessagePart<'x>, String)> {
    mail.parts.iter().find_map(|part| {
        let declared = part.content_type()?;
        let (kind, subtype) = (
            declared.ctype().to_ascii_lowercase(),
            declared.subtype()?.to_ascii_lowercase(),
        );
        accepts(&kind, &subtype).then_some((part, subtype))
    })
}

/// The Message-ID of the message that a report contains.
fn original_message_id(report: &Message<'_>) -> Option<String> {
    let accepts = |kind: &str, subtype: &str| {
        matches!(
            (kind, subtype),
            ("message", "rfc822" | "global" | "global-headers") | ("text", "rfc822-headers")
        )
    };
    let (part, _) = part(report, accepts)?;
    if let Some(message) = part.message() {
        return message.message_id().map(str::to_owned);
    }
    let headers = MessageParser::default().parse_headers(part.contents())?;
    headers.message_id().map(str::to_owned)
}

/// The fields of one group: names in lower case, and values on one line.
type Fields = Vec<(String, String)>;

/// Reads groups of fields, which blank lines separate.
fn groups(text: &str) -> Vec<Fields> {
    let (mut groups, mut group) = (Vec::new(), Fields::new());
    for line in text.lines().map(str::trim_end) {
        if line.is_empty() {
            if !group.is_empty() {
                groups.push(std::mem::take(&mut group));
            }
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = group.last_mut() {
                value.push(' ');
                value.push_str(line.trim_start());
            }
        } else if let Some((name, value)) = line.split_once(':') {
            group.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        }
        if groups.len() > MOST_RECIPIENTS {
            return groups;
        }
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}

fn field<'a>(group: &'a Fields, name: &str) -> Option<&'a str> {
    let found = group.iter().find(|(field, _)| field == name);
    found.map(|(_, value)| &**value)
}

/// The receipt of one recipient. None for a delay, and for a server that says nothing about the delivery.
fn outcome(group: &Fields, message: &ReceiptMessage) -> Option<Receipt> {
    let status = match field(group, "action")?.to_ascii_lowercase().as_str() {
        "delivered" => ReceiptStatus::Delivered,
        "failed" => ReceiptStatus::Bounced,
        _ => return None,
    };
    let code = field(group, "status").unwrap_or_default();
    let words = field(group, "diagnostic-code");
    let reason = match status {
        ReceiptStatus::Delivered => None,
        _ => Some(words.unwrap_or(code)),
    };
    let at = field(group, "last-attempt-date").and_then(date);
    let named = ["final-recipient", "original-recipient"].into_iter();
    let mut receipt = Receipt::new(message.clone(), status, is_permanent(code), reason, at);
    receipt.recipients = named.filter_map(|name| address(field(group, name)?)).collect();
    Some(receipt)
}

/// The address of a recipient such as `rfc822; ines@example.test`. None if it is empty.
fn address(text: &str) -> Option<String> {
    let address = text.split_once(';').map_or(text, |(_, address)| address).trim();
    let address = address.trim_start_matches('<').trim_end_matches('>');
    (!address.is_empty()).then(|| address.to_owned())
}

/// Returns true for a status that says that the address doesn't exist or takes no messages at all: 5.1.x and 5.2.1
/// (RFC 3463). Other failures, such as a refused text, are no reason to send nothing more.
fn is_permanent(code: &str) -> bool {
    let code = code.split([' ', '(']).next().unwrap_or_default();
    code.starts_with("5.1.") || code == "5.2.1"
}

/// The receipt of a complaint. None for a report of another kind.
fn complaint(group: &Fields, message: &ReceiptMessage) -> Option<Receipt> {
    let kind = field(group, "feedback-type")?;
    let at = field(group, "arrival-date").or_else(|| field(group, "received-date"));
    let at = at.and_then(date);
    matches!(kind.to_ascii_lowercase().as_str(), "abuse" | "opt-out")
        .then(|| Receipt::new(message.clone(), ReceiptStatus::Complained, false, Some(kind), at))
}

fn date(text: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc2822(text).ok()?.with_timezone(&Utc))
}

#[cfg(test)]
mod tests;

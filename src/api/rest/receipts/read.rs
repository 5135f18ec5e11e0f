//! Reads receipts from JSON, and from the form of a gateway's callback.

use serde_json::{Map, Value};

use crate::api::rest::{
    errors::{RestError, codes},
    parameters::Parameters,
};
use clientele_core::{scalar, text::has_control_characters};
use clientele_domain::{
    enums::ReceiptStatus,
    notify::receipt::{LONGEST_PROVIDER_ID, MOST_RECEIPTS, Receipt, ReceiptMessage},
};

/// The members of a receipt.
const MEMBERS: [&str; 6] = ["messageId", "providerId", "status", "permanent", "reason", "at"];

/// The outcomes in Twilio's callbacks.
pub const OUTCOMES: [(&str, ReceiptStatus); 5] = [
    ("delivered", ReceiptStatus::Delivered),
    ("read", ReceiptStatus::Delivered),
    ("undelivered", ReceiptStatus::Bounced),
    ("failed", ReceiptStatus::Failed),
    ("canceled", ReceiptStatus::Failed),
];
/// The statuses in Twilio's callbacks that come before the outcome.
pub const UNDERWAY: [&str; 7] = [
    "accepted",
    "scheduled",
    "queued",
    "sending",
    "sent",
    "receiving",
    "received",
];
/// Twilio's error codes for numbers that take no messages: an unknown or inactive number, and a landline.
const PERMANENT: [&str; 2] = ["30005", "30006"];

/// Reads one receipt or an array of them.
///
/// # Errors
/// The first value that can't be read.
pub fn of_json(body: &str) -> Result<Vec<Receipt>, RestError> {
    let body: Value = serde_json::from_str(body)
        .map_err(|error| RestError::new(codes::INVALID_JSON_SYNTAX, format!("The body isn't JSON: {error}.")))?;
    let receipts = match body {
        Value::Array(receipts) => receipts,
        one @ Value::Object(_) => vec![one],
        _ => return Err(refused("The body must be a receipt or an array of receipts.")),
    };
    let count = receipts.len();
    if count > MOST_RECEIPTS {
        let source = format!("There are {count} receipts: send at most {MOST_RECEIPTS} at once.");
        return Err(refused(source));
    }
    let read = |(at, receipt): (usize, Value)| receipt_of(receipt).map_err(|source| refused(format!("[{at}]{source}")));
    receipts.into_iter().enumerate().map(read).collect()
}

fn receipt_of(receipt: Value) -> Result<Receipt, String> {
    let Value::Object(members) = receipt else {
        return Err(": must be an object.".to_owned());
    };
    if let Some(unknown) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        let shown: String = unknown.chars().take(40).filter(|letter| !letter.is_control()).collect();
        return Err(format!(
            ": {shown} isn't a member of a receipt: {}.",
            MEMBERS.join(", ")
        ));
    }
    let status = text(&members, "status")?;
    let status = status.as_deref().and_then(ReceiptStatus::parse);
    let status = status.ok_or(".status: must be DELIVERED, BOUNCED, FAILED or COMPLAINED.")?;
    let permanent = match members.get("permanent") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(permanent)) => *permanent,
        Some(_) => return Err(".permanent: must be true or false.".to_owned()),
    };
    let at = match text(&members, "at")? {
        None => None,
        Some(at) => match scalar::DateTime::parse(&at) {
            Some(at) => Some(at.0),
            None => return Err(".at: must be a time such as 2026-11-22T12:00:00Z.".to_owned()),
        },
    };
    let message = match (text(&members, "messageId")?, text(&members, "providerId")?) {
        (Some(id), None) => ReceiptMessage::of_message_id(&id),
        (None, Some(id)) => provider_id(id).map_err(|source| format!(".providerId: {source}"))?,
        (None, None) | (Some(_), Some(_)) => {
            return Err(": give either messageId or providerId.".to_owned());
        }
    };
    let reason = text(&members, "reason")?;
    Ok(Receipt::new(message, status, permanent, reason.as_deref(), at))
}

/// A member that is a text; none if it is absent or null.
fn text(members: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!(".{name}: must be a text.")),
    }
}

fn provider_id(id: String) -> Result<ReceiptMessage, String> {
    let length = id.chars().count();
    match length {
        0 => Err("must not be empty.".to_owned()),
        _ if length > LONGEST_PROVIDER_ID => Err(format!("must have at most {LONGEST_PROVIDER_ID} characters.")),
        _ if has_control_characters(&id) => Err("must not contain control characters.".to_owned()),
        _ => Ok(ReceiptMessage::ProviderId(id)),
    }
}

/// Reads the form of a status callback in Twilio's format, which other gateways share. None for a status before the
/// outcome.
///
/// # Errors
/// A missing or unknown value.
pub fn of_form(form: &Parameters) -> Result<Option<Receipt>, RestError> {
    let one_of = |names: [&str; 2]| names.iter().find_map(|name| form.first(name));
    let Some(id) = one_of(["MessageSid", "SmsSid"]) else {
        return Err(refused("MessageSid is missing: it is the gateway's id of the message."));
    };
    let message = provider_id(id.to_owned()).map_err(|source| refused(format!("MessageSid: {source}")))?;
    let status = one_of(["MessageStatus", "SmsStatus"])
        .unwrap_or_default()
        .to_ascii_lowercase();
    let code = form.first("ErrorCode").filter(|code| !code.is_empty());
    let status = match OUTCOMES.iter().find(|(name, _)| *name == status) {
        Some((_, outcome)) => *outcome,
        None if UNDERWAY.contains(&status.as_str()) => return Ok(None),
        None => {
            let source = "MessageStatus: must be delivered, read, undelivered, failed or canceled, or a status before \
                          the outcome, such as sent.";
            return Err(refused(source));
        }
    };
    let permanent = code.is_some_and(|code| PERMANENT.contains(&code));
    let reason = code.map(|code| format!("code {code}"));
    Ok(Some(Receipt::new(message, status, permanent, reason.as_deref(), None)))
}

fn refused(source: impl Into<String>) -> RestError {
    RestError::new(codes::INVALID_PARAMETERS, source)
}

//! Renders an e-mail as sent over the wire, including the final dot. The same message at the same time gives the same
//! text.

use chrono::{DateTime, Utc};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use lettre::{Address, message::MultiPartBuilder};

use super::super::Outgoing;

/// In characters. A header line has at most 998 bytes, and non-ASCII text is folded.
const LONGEST_SUBJECT: usize = 255;

/// Renders the e-mail. None when it can't be built, which isn't known to happen.
pub(super) fn written(from: &Mailbox, to: &Address, message: &Outgoing, now: DateTime<Utc>) -> Option<String> {
    let Outgoing {
        key,
        recipient: _,
        content,
    } = message;
    // Keys contain no other characters; this ensures that they are safe in a header.
    let key: String = key
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-')
        .collect();
    let builder = Message::builder()
        .message_id(Some(format!("<{key}@{}>", from.email.domain())))
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

//! An e-mail as it goes over the wire, up to the dot that ends it. The same message at the same time gives the same
//! text.

use chrono::{DateTime, Utc};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use lettre::{Address, message::MultiPartBuilder};

use super::super::Outgoing;

/// In characters. A header line has at most 998 bytes, and what isn't ASCII is folded.
const LONGEST_SUBJECT: usize = 255;

/// None when it can't be put together, which no message of ours is known to bring about.
pub(super) fn written(from: &Mailbox, to: &Address, message: &Outgoing, now: DateTime<Utc>) -> Option<String> {
    let Outgoing {
        key,
        recipient: _,
        content,
    } = message;
    // Keys are made by us and hold nothing else; this keeps it so that they can stand in a header.
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
        // Keeps holiday notices and the like from being answered to.
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

/// One line, short enough for any server, in which nothing reads as an encoded word: what a name contains must not be
/// decoded by those who read it.
fn subject(text: &str) -> String {
    one_line(text)
        .replace("=?", "= ?")
        .chars()
        .take(LONGEST_SUBJECT)
        .collect()
}

/// With the dot on a line of its own that ends a message, and another one before each line that begins with one. All in
/// one piece: sent as two, the second would wait for the first to be acknowledged, which takes a server 40 ms.
fn with_end(text: &str) -> String {
    let text = text.strip_suffix("\r\n").unwrap_or(text);
    // Line ends are CRLF here, and nothing else is one.
    format!("{}\r\n.\r\n", text.replace("\r\n.", "\r\n.."))
}

/// A boundary can't come up in a part by accident, and on purpose only from someone who knows the key beforehand.
fn alternative(key: &str) -> MultiPartBuilder {
    let boundary: String = key.chars().take(60).collect();
    MultiPart::alternative().boundary(format!("_{boundary}_"))
}

/// What could end a header becomes a space.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// One kind of line end, and no control characters: mail servers disagree about what a lone carriage return ends.
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

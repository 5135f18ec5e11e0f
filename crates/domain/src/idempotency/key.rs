//! The idempotency key: the name that a caller gives a request to recognise it when it is sent again.

use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
};

/// 1 to 255 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// The limit of a key, in characters.
    pub const LONGEST: usize = 255;

    /// # Errors
    /// A problem with the key, at `idempotencyKey`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let refuse = |code, message: String| Err(Problem::new(code, path!["idempotencyKey"], message));
        if text.is_empty() || !text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            let message = "An idempotency key is made of printable ASCII characters, at least one: a UUID for example.";
            return refuse(ProblemCode::Malformed, message.to_owned());
        }
        if text.len() > Self::LONGEST {
            let message = format!("An idempotency key has at most {} characters.", Self::LONGEST);
            return refuse(ProblemCode::TooLong, message);
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Key;
    use clientele_core::problem::ProblemCode::{Malformed, TooLong};

    #[test]
    fn a_key_is_1_to_255_printable_characters() {
        let longest = "k".repeat(255);
        for (text, found) in [
            ("k", Ok("k")),
            (
                "8e03978e-40d5-43dd-bc93-6894a57f9324",
                Ok("8e03978e-40d5-43dd-bc93-6894a57f9324"),
            ),
            (" a b\"\\~", Ok(" a b\"\\~")),
            (&longest, Ok(&*longest)),
            (&"k".repeat(256), Err(TooLong)),
            ("", Err(Malformed)),
            ("a\tb", Err(Malformed)),
            ("a\u{7f}", Err(Malformed)),
            ("\0", Err(Malformed)),
            ("schlüssel", Err(Malformed)),
        ] {
            let key = Key::parse(text);
            assert_eq!(
                key.as_ref().map(Key::as_str).map_err(|problem| problem.code),
                found,
                "{text:?}"
            );
        }
    }
}

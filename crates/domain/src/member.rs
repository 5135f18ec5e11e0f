//! Reads the members of a submitted object by shared rules: an absent member stays, null clears it, texts have limits.

use async_graphql::MaybeUndefined;

use clientele_core::{
    path,
    problem::{Message, Problem, ProblemCode, Step},
    scalar::{is_key, new_key},
    text::{forbidden_in_line, forbidden_in_lines, is_blank},
};

/// The default limit of a text, in characters.
pub const TEXT_LIMIT: usize = 255;
/// The limit of the notes about a client, in characters.
pub const NOTES_LIMIT: usize = 65_535;

/// The problems found so far.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    pub fn add(&mut self, code: ProblemCode, path: impl IntoIterator<Item = Step>, message: impl Into<Message>) {
        self.0.push(Problem::new(code, path, message));
    }

    /// Returns the members of a submitted list; none if it is absent or refused.
    pub fn list<'a, T>(
        &mut self,
        name: &'static str,
        sent: &'a MaybeUndefined<Vec<T>>,
        most: usize,
    ) -> Option<&'a [T]> {
        match sent {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => {
                let message = format!("Send [] to empty {name}, or leave it out to keep what is stored.");
                self.add(ProblemCode::NullList, path![name], message);
                None
            }
            MaybeUndefined::Value(list) if list.len() > most => {
                let message = Message::of_member(name, format!(" must have at most {most} entries."));
                self.add(ProblemCode::TooMany, path![name], message);
                None
            }
            MaybeUndefined::Value(list) => Some(list),
        }
    }
}

/// An absent member keeps its value, null clears it.
pub fn keep<T: Clone, S>(sent: &MaybeUndefined<T>, stored: Option<S>, convert: impl Fn(T) -> S) -> Option<S> {
    match sent {
        MaybeUndefined::Undefined => stored,
        MaybeUndefined::Null => None,
        MaybeUndefined::Value(value) => Some(convert(value.clone())),
    }
}

/// Finds the first forbidden character of a text.
type Forbidden = fn(&str) -> Option<char>;

/// Reads the scalars of one object at the path `scope`.
pub struct Scalars<'a> {
    pub scope: Vec<Step>,
    pub problems: &'a mut Problems,
}

impl Scalars<'_> {
    pub fn refuse(&mut self, code: ProblemCode, name: &'static str, message: impl Into<Message>) {
        let path = self.scope.iter().cloned().chain([name.into()]);
        self.problems.add(code, path, message);
    }

    /// Checks a new text of one line. The calling function must handle an empty text.
    pub fn fits(&mut self, name: &'static str, text: &str, limit: usize) -> bool {
        self.accepts(name, text, limit, forbidden_in_line)
    }

    fn accepts(&mut self, name: &'static str, text: &str, limit: usize, forbidden: Forbidden) -> bool {
        if let Some(character) = forbidden(text) {
            let number = u32::from(character);
            self.refuse(
                ProblemCode::InvalidCharacter,
                name,
                Message::of_member(name, format!(" must not contain the character U+{number:04X}.")),
            );
            return false;
        }
        self.is_short(name, text, limit)
    }

    /// Checks only the length of a text.
    pub fn is_short(&mut self, name: &'static str, text: &str, limit: usize) -> bool {
        // A text has at most as many characters as bytes: counting is needed only for long texts.
        if text.len() > limit && text.chars().count() > limit {
            self.refuse(
                ProblemCode::TooLong,
                name,
                Message::of_member(name, format!(" must have at most {limit} characters.")),
            );
            return false;
        }
        true
    }

    /// A text that can be cleared. A stored text that is sent back unchanged is accepted, even if the rules have
    /// changed.
    pub fn optional(
        &mut self,
        name: &'static str,
        sent: &MaybeUndefined<String>,
        stored: Option<String>,
        limit: usize,
        forbidden: Forbidden,
    ) -> Option<String> {
        match sent {
            MaybeUndefined::Undefined => stored,
            MaybeUndefined::Null => None,
            MaybeUndefined::Value(text) if text.is_empty() => None,
            MaybeUndefined::Value(text) if stored.as_ref() == Some(text) => stored,
            MaybeUndefined::Value(text) => self.accepts(name, text, limit, forbidden).then(|| text.clone()),
        }
    }

    /// A text of one line that can be cleared.
    pub fn text(
        &mut self,
        name: &'static str,
        sent: &MaybeUndefined<String>,
        stored: Option<String>,
    ) -> Option<String> {
        self.limited(name, sent, stored, TEXT_LIMIT)
    }

    /// Like [`text`](Self::text), with another limit.
    pub fn limited(
        &mut self,
        name: &'static str,
        sent: &MaybeUndefined<String>,
        stored: Option<String>,
        limit: usize,
    ) -> Option<String> {
        self.optional(name, sent, stored, limit, forbidden_in_line)
    }

    /// A text that can be cleared and can have line breaks and tabs.
    pub fn lines(
        &mut self,
        name: &'static str,
        sent: &MaybeUndefined<String>,
        stored: Option<String>,
        limit: usize,
    ) -> Option<String> {
        self.optional(name, sent, stored, limit, forbidden_in_lines)
    }

    /// A text of one line that can't be cleared; `stored` is empty if there is none yet. A stored text that is kept, or
    /// sent back unchanged, is accepted, even if the rules have changed.
    pub fn required(&mut self, name: &'static str, sent: &MaybeUndefined<String>, stored: &str) -> String {
        let text = match sent {
            MaybeUndefined::Undefined => stored,
            MaybeUndefined::Null => "",
            MaybeUndefined::Value(text) => text,
        };
        if text == stored && !stored.is_empty() {
            return text.to_owned();
        }
        if is_blank(text) {
            self.refuse(
                ProblemCode::Blank,
                name,
                Message::of_member(name, " is required and must not be blank."),
            );
        } else {
            self.fits(name, text, TEXT_LIMIT);
        }
        text.to_owned()
    }

    /// Checks the id of a definition: 1 to 32 characters. The id of a stored definition is accepted, even if the rules
    /// have changed.
    pub fn definition_id(&mut self, name: &'static str, id: &str, is_stored: bool) {
        if is_stored {
            return;
        }
        if is_blank(id) {
            self.refuse(
                ProblemCode::Blank,
                name,
                format!("{name} is required and must not be blank."),
            );
        } else {
            self.fits(name, id, 32);
        }
    }

    /// Returns the key of a definition: the caller can choose it on creation, and it never changes later.
    pub fn definition_key(
        &mut self,
        sent: &MaybeUndefined<String>,
        stored: Option<&str>,
        is_taken: impl Fn(&str) -> bool,
    ) -> String {
        let mut refuse = |code, message: &'static str| self.refuse(code, "encodedKey", message);
        // If the key is refused, the checks go on with the key it would otherwise have, so that they report exactly the
        // other problems.
        match (sent.value(), stored) {
            (None, None) => new_key(),
            (None, Some(stored)) => stored.to_owned(),
            (Some(sent), Some(stored)) => {
                if sent != stored {
                    refuse(
                        ProblemCode::Invalid,
                        "The key of a definition can't be changed once it exists: leave encodedKey out.",
                    );
                }
                stored.to_owned()
            }
            (Some(sent), None) if !is_key(sent) => {
                refuse(
                    ProblemCode::Malformed,
                    "encodedKey must have 1 to 32 letters and digits.",
                );
                new_key()
            }
            (Some(sent), None) if is_taken(sent) => {
                refuse(
                    ProblemCode::Taken,
                    "Another definition has this key: choose another, or leave encodedKey out.",
                );
                new_key()
            }
            (Some(sent), None) => sent.clone(),
        }
    }
}

//! Reads the members of JSON objects and their values, each from its raw JSON. Distinguishes absent, null and a value;
//! unreadable values are recorded with their paths and count as absent. Knows no member by name.

use std::collections::HashMap;

use async_graphql::MaybeUndefined;
use serde_json::value::RawValue;

use super::date::date as parse_date;
use crate::api::rest::errors::legacy;
use clientele_core::{
    problem::{Message, Problem, ProblemCode, Step},
    scalar::Date,
    text::is_blank,
};

/// The JSON of an empty text.
const EMPTY_TEXT: &str = r#""""#;
/// The maximum number of recorded problems: only the first is reported, and a body may have very many.
const MOST_REMEMBERED: usize = 16;

/// The reason why a value can't be read: the code, and the message after the member's name.
pub type Unreadable = (ProblemCode, &'static str);

pub type Read<T> = Result<T, Unreadable>;

/// One JSON object at its path in the input.
pub struct Members<'a, 'p> {
    members: HashMap<String, &'a RawValue>,
    path: Vec<Step>,
    problems: &'p mut Vec<Problem>,
}

impl<'a, 'p> Members<'a, 'p> {
    /// The root of a body.
    pub fn root(members: HashMap<String, &'a RawValue>, problems: &'p mut Vec<Problem>) -> Self {
        Self {
            members,
            path: Vec::new(),
            problems,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The same members for a change of those that are present: without null and the key, and blank
    /// texts as empty ones.
    pub fn patch(mut self) -> Self {
        let Ok(empty) = serde_json::from_str::<&RawValue>(EMPTY_TEXT) else {
            return self;
        };
        let is_blank_text = |raw: &RawValue| text(raw).is_ok_and(|text| is_blank(&text));
        self.members
            .retain(|name, raw| raw.get() != "null" && name != "encodedKey");
        // An id can't be cleared: a blank one is refused.
        for (_, raw) in self
            .members
            .iter_mut()
            .filter(|(name, raw)| *name != "id" && is_blank_text(raw))
        {
            *raw = empty;
        }
        self
    }

    /// The value of a member, identified by its name in the domain.
    pub fn value<T>(&mut self, name: &'static str, read: impl FnOnce(&'a RawValue) -> Read<T>) -> MaybeUndefined<T> {
        let Some(raw) = self.members.get(legacy(name)).copied() else {
            return MaybeUndefined::Undefined;
        };
        if raw.get() == "null" {
            return MaybeUndefined::Null;
        }
        match read(raw) {
            Ok(value) => MaybeUndefined::Value(value),
            Err(unreadable) => {
                self.refuse(name, unreadable);
                MaybeUndefined::Undefined
            }
        }
    }

    /// Like [`value`](Self::value), for a member that isn't a text: the empty text counts as null.
    pub fn clearable<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a RawValue) -> Read<T>,
    ) -> MaybeUndefined<T> {
        match self.members.get(legacy(name)) {
            Some(raw) if raw.get() == EMPTY_TEXT => MaybeUndefined::Null,
            _ => self.value(name, read),
        }
    }

    pub fn text(&mut self, name: &'static str) -> MaybeUndefined<String> {
        self.value(name, text)
    }

    /// The members of an object. An absent value, null or a non-object has none.
    pub fn object(&mut self, name: &'static str) -> MaybeUndefined<Members<'a, '_>> {
        self.value(name, object)
            .map_value(|members| self.inside([name.into()], members))
    }

    /// Reads the first `most_read` objects of a list. Later ones count as empty objects without being parsed, up to
    /// `most` in total; the rest is dropped.
    pub fn list<T: Clone + Default>(
        &mut self,
        name: &'static str,
        (most_read, most): (usize, usize),
        mut read: impl FnMut(Members<'a, '_>) -> T,
    ) -> MaybeUndefined<Vec<T>> {
        // Null leaves the collection unchanged, as if it were absent.
        let MaybeUndefined::Value(elements) = self.value(name, elements) else {
            return MaybeUndefined::Undefined;
        };
        let length = elements.len().min(most);
        let mut list = Vec::new();
        for (index, raw) in elements.into_iter().take(most_read).enumerate() {
            let members = object(raw).unwrap_or_else(|(code, sentence)| {
                let message = format!("each member of the list {sentence}");
                self.remember([name.into(), index.into()], code, message.into());
                HashMap::new()
            });
            list.push(read(self.inside([name.into(), index.into()], members)));
        }
        list.resize(length, T::default());
        MaybeUndefined::Value(list)
    }

    /// Reads the first `most` elements of a list of values. Null and an absent list have none.
    pub fn values<T>(&mut self, name: &'static str, most: usize, read: impl Fn(&'a RawValue) -> Read<T>) -> Vec<T> {
        let list = self.value(name, elements).take().unwrap_or_default();
        let mut values = Vec::new();
        for raw in list.into_iter().take(most) {
            match read(raw) {
                Ok(value) => values.push(value),
                Err(unreadable) => self.refuse(name, unreadable),
            }
        }
        values
    }

    pub fn refuse(&mut self, name: &'static str, (code, sentence): Unreadable) {
        let message = Message::of_member(name, format!(" {sentence}"));
        self.remember([name.into()], code, message);
    }

    pub fn refuse_with(&mut self, name: &'static str, code: ProblemCode, message: impl Into<Message>) {
        self.remember([name.into()], code, message.into());
    }

    fn inside<const N: usize>(&mut self, steps: [Step; N], members: HashMap<String, &'a RawValue>) -> Members<'a, '_> {
        Members {
            members,
            path: self.path.iter().cloned().chain(steps).collect(),
            problems: self.problems,
        }
    }

    fn remember<const N: usize>(&mut self, steps: [Step; N], code: ProblemCode, message: Message) {
        if self.problems.len() < MOST_REMEMBERED {
            let path = self.path.iter().cloned().chain(steps);
            self.problems.push(Problem::new(code, path, message));
        }
    }
}

fn object(raw: &RawValue) -> Read<HashMap<String, &RawValue>> {
    serde_json::from_str(raw.get()).map_err(|_| (ProblemCode::Malformed, "must be an object."))
}

fn elements(raw: &RawValue) -> Read<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).map_err(|_| (ProblemCode::Malformed, "must be a list."))
}

pub fn text(raw: &RawValue) -> Read<String> {
    if !raw.get().starts_with('"') {
        return Err((ProblemCode::Malformed, "must be a text."));
    }
    // The syntax of the body has been checked: only an escape that is no character can fail here.
    let sentence = "must not contain half of a surrogate pair.";
    serde_json::from_str(raw.get()).map_err(|_| (ProblemCode::InvalidCharacter, sentence))
}

pub fn date(raw: &RawValue) -> Read<Date> {
    let sentence = "must be a date that exists, as yyyy-MM-dd.";
    parse_date(&text(raw)?).ok_or((ProblemCode::NotADate, sentence))
}

/// A value of a closed list of texts.
pub fn choice<T>(raw: &RawValue, parse: impl Fn(&str) -> Option<T>, sentence: &'static str) -> Read<T> {
    parse(&text(raw)?).ok_or((ProblemCode::NotAnOption, sentence))
}

/// An integer, optionally in quotes.
pub fn integer(raw: &RawValue) -> Read<i32> {
    let digits = raw.get().trim_matches('"');
    digits
        .parse()
        .map_err(|_| (ProblemCode::Malformed, "must be an integer."))
}

/// A number, optionally in quotes.
pub fn degrees(raw: &RawValue) -> Read<f64> {
    let quoted = match raw.get().as_bytes().first() {
        Some(b'"') => text(raw)?,
        Some(b'-' | b'0'..=b'9') => raw.get().to_owned(),
        _ => return Err((ProblemCode::Malformed, "must be a number.")),
    };
    // Rust also parses the names of non-numbers, such as NaN.
    let numeric = quoted
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    let number = quoted.parse().ok().filter(|number: &f64| numeric && number.is_finite());
    number.ok_or((ProblemCode::NotANumber, "must be a number of degrees."))
}

/// A custom field's value: a text, or the text of a number or boolean. No number is converted to a float.
pub fn custom(raw: &RawValue) -> Read<String> {
    match raw.get().as_bytes().first() {
        Some(b'"') => text(raw),
        Some(b't') => Ok("TRUE".to_owned()),
        Some(b'f') => Ok("FALSE".to_owned()),
        Some(b'-' | b'0'..=b'9') => Ok(raw.get().to_owned()),
        _ => Err((ProblemCode::Malformed, "must be a text, a number or a boolean.")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::{custom, degrees, integer, text};
    use clientele_core::problem::ProblemCode::{InvalidCharacter, Malformed, NotANumber};

    fn raw(json: &str) -> Box<RawValue> {
        serde_json::from_str(json).expect("JSON")
    }

    #[test]
    fn a_text_is_a_text() {
        assert_eq!(text(&raw(r#""a\u00e9\ud83d\ude00""#)).as_deref(), Ok("aé😀"));
        assert_eq!(text(&raw("5")).map_err(|unreadable| unreadable.0), Err(Malformed));
        assert_eq!(
            text(&raw(r#""\ud83d""#)).map_err(|unreadable| unreadable.0),
            Err(InvalidCharacter)
        );
    }

    #[test]
    fn an_integer_may_be_quoted() {
        for (json, expected) in [
            ("0", Some(0)),
            (r#""0""#, Some(0)),
            (r#""-1""#, Some(-1)),
            ("1.0", None),
            (r#""""#, None),
            ("true", None),
            ("99999999999", None),
        ] {
            assert_eq!(integer(&raw(json)).ok(), expected, "{json}");
        }
    }

    #[test]
    fn degrees_may_be_quoted() {
        for (json, expected) in [
            ("52.5", Ok(52.5)),
            (r#""-0.25""#, Ok(-0.25)),
            ("1e1", Ok(10.0)),
            ("1e999", Err(NotANumber)),
            (r#""NaN""#, Err(NotANumber)),
            (r#""inf""#, Err(NotANumber)),
            (r#""""#, Err(NotANumber)),
            (r#""north""#, Err(NotANumber)),
            ("true", Err(Malformed)),
            ("[]", Err(Malformed)),
        ] {
            assert_eq!(
                degrees(&raw(json)).map_err(|unreadable| unreadable.0),
                expected,
                "{json}"
            );
        }
    }

    #[test]
    fn a_custom_number_keeps_its_own_text() {
        for (json, expected) in [
            ("12345678901234567890.1234567890", Ok("12345678901234567890.1234567890")),
            ("1E5", Ok("1E5")),
            ("true", Ok("TRUE")),
            ("false", Ok("FALSE")),
            (r#""LOW""#, Ok("LOW")),
            ("{}", Err(Malformed)),
            ("[1]", Err(Malformed)),
        ] {
            let found = custom(&raw(json)).map_err(|unreadable| unreadable.0);
            assert_eq!(found.as_deref(), expected.as_ref().map(|text| *text), "{json}");
        }
    }
}

//! Parses the values of members, each from its raw JSON.

use serde_json::value::RawValue;

use super::{
    day,
    member::{Misread, Read},
};
use clientele_core::{problem::ProblemCode, scalar::Date};

pub fn text(raw: &RawValue) -> Read<String> {
    if !raw.get().starts_with('"') {
        return Err(Misread(ProblemCode::Malformed, "must be a text."));
    }
    // The syntax of the body has been checked: only an escape that is no character can fail here.
    let sentence = "must not contain half of a surrogate pair.";
    serde_json::from_str(raw.get()).map_err(|_| Misread(ProblemCode::InvalidCharacter, sentence))
}

pub fn date(raw: &RawValue) -> Read<Date> {
    day::parse(&text(raw)?).ok_or(Misread(
        ProblemCode::NotADate,
        "must be a date that exists, as yyyy-MM-dd.",
    ))
}

/// A value of a closed list of texts.
pub fn choice<T>(raw: &RawValue, parse: impl Fn(&str) -> Option<T>, sentence: &'static str) -> Read<T> {
    parse(&text(raw)?).ok_or(Misread(ProblemCode::NotAnOption, sentence))
}

/// An integer, optionally in quotes.
pub fn integer(raw: &RawValue) -> Read<i32> {
    let digits = raw.get().trim_matches('"');
    digits
        .parse()
        .map_err(|_| Misread(ProblemCode::Malformed, "must be an integer."))
}

/// A number, optionally in quotes.
pub fn degrees(raw: &RawValue) -> Read<f64> {
    let quoted = match raw.get().as_bytes().first() {
        Some(b'"') => text(raw)?,
        Some(b'-' | b'0'..=b'9') => raw.get().to_owned(),
        _ => return Err(Misread(ProblemCode::Malformed, "must be a number.")),
    };
    // Rust also parses the names of non-numbers, such as NaN.
    let numeric = quoted
        .bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'));
    let number = quoted.parse().ok().filter(|number: &f64| numeric && number.is_finite());
    number.ok_or(Misread(ProblemCode::NotANumber, "must be a number of degrees."))
}

/// A custom field's value: a text, or the text of a number or boolean. No number is converted to a float.
pub fn custom(raw: &RawValue) -> Read<String> {
    match raw.get().as_bytes().first() {
        Some(b'"') => text(raw),
        Some(b't') => Ok("TRUE".to_owned()),
        Some(b'f') => Ok("FALSE".to_owned()),
        Some(b'-' | b'0'..=b'9') => Ok(raw.get().to_owned()),
        _ => Err(Misread(
            ProblemCode::Malformed,
            "must be a text, a number or a boolean.",
        )),
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
        assert_eq!(text(&raw("5")).map_err(|misread| misread.0), Err(Malformed));
        assert_eq!(
            text(&raw(r#""\ud83d""#)).map_err(|misread| misread.0),
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
            assert_eq!(degrees(&raw(json)).map_err(|misread| misread.0), expected, "{json}");
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
            let found = custom(&raw(json)).map_err(|misread| misread.0);
            assert_eq!(found.as_deref(), expected.as_ref().map(|text| *text), "{json}");
        }
    }
}

//! The scalars shared by both APIs, with their wire formats: dates, instants, decimals and keys.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use chrono::{DateTime as Instant, Datelike, NaiveDate, SecondsFormat, Utc};
use uuid::Uuid;

/// A calendar date without a time of day, as `YYYY-MM-DD`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Date(pub NaiveDate);

impl Date {
    /// Reads exactly `YYYY-MM-DD`, years 0001 to 9999.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 10
            && text.bytes().enumerate().all(|(at, byte)| match at {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            });
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        (well_formed && date.year() > 0).then_some(Self(date))
    }
}

/// A calendar date without a time of day, as `YYYY-MM-DD`, for example `1990-04-17`.
#[Scalar(
    name = "Date",
    specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339#section-5.6"
)]
impl ScalarType for Date {
    fn parse(value: Value) -> InputValueResult<Self> {
        text(&value, Date::parse).ok_or_else(|| InputValueError::custom("not a date: send YYYY-MM-DD"))
    }

    fn is_valid(value: &Value) -> bool {
        text(value, Date::parse).is_some()
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

/// A point in time, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime(pub Instant<Utc>);

impl DateTime {
    /// Reads RFC 3339 with any offset.
    pub fn parse(text: &str) -> Option<Self> {
        let instant = Instant::parse_from_rfc3339(text).ok()?.to_utc();
        (1..=9999).contains(&instant.year()).then_some(Self(instant))
    }

    /// The format in answers: UTC with up to six fraction digits.
    pub fn text(instant: &Instant<Utc>) -> String {
        instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }
}

/// A point in time as RFC 3339, for example `2026-11-22T15:06:00Z`. Answers are in UTC; any offset is accepted.
#[Scalar(
    name = "DateTime",
    specified_by_url = "https://www.rfc-editor.org/rfc/rfc3339#section-5.6"
)]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        text(&value, DateTime::parse).ok_or_else(|| InputValueError::custom("not a point in time: send RFC 3339"))
    }

    fn is_valid(value: &Value) -> bool {
        text(value, DateTime::parse).is_some()
    }

    fn to_value(&self) -> Value {
        Value::String(Self::text(&self.0))
    }
}

/// A decimal number in text, of up to 30 digits.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Decimal(pub String);

impl Decimal {
    pub const MAX_DIGITS: usize = 30;

    /// The canonical text of a decimal: as sent, without trailing zeros after the point and without a trailing point.
    pub fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let digits = whole.len() + fraction.len();
        let plain = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
        if !plain || digits == 0 || digits > Self::MAX_DIGITS {
            return None;
        }
        let trimmed = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            text
        };
        // ".0" leaves only an optional sign.
        let is_bare = matches!(trimmed, "" | "-");
        Some(Self(format!("{trimmed}{}", if is_bare { "0" } else { "" })))
    }

    /// The form in which equal numbers are equal texts: without zeros before the first digit, and without `-0`. Takes a
    /// canonical text.
    pub fn comparable(canonical: &str) -> String {
        match (canonical.trim_start_matches(['-', '0']), canonical.starts_with('-')) {
            ("", _) => "0".to_owned(),
            (digits, true) => format!("-{digits}"),
            (digits, false) => digits.to_owned(),
        }
    }
}

/// A decimal number of up to 30 digits in a string, so that it keeps its precision: for example `"12.5"`.
#[Scalar(name = "Decimal", specified_by_url = "https://www.w3.org/TR/xmlschema11-2/#decimal")]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::String(text) => Decimal::parse(text).ok_or_else(|| InputValueError::custom("not a decimal number")),
            _ => Err(InputValueError::custom("not a decimal number in text")),
        }
    }

    fn is_valid(value: &Value) -> bool {
        text(value, Decimal::parse).is_some()
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.clone())
    }
}

fn text<T>(value: &Value, parse: fn(&str) -> Option<T>) -> Option<T> {
    match value {
        Value::String(text) => parse(text),
        _ => None,
    }
}

/// Generates a key: unique without coordination, and increasing with time, so that indexes stay dense.
pub fn new_key() -> String {
    Uuid::now_v7().simple().to_string()
}

/// Returns true when `text` has the form of a key: 1 to 32 ASCII letters and digits.
pub fn is_key(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::{Date, Decimal};

    #[test]
    fn a_date_is_ten_characters_and_on_the_calendar() {
        for text in ["2024-02-29", "0001-01-01", "9999-12-31"] {
            assert_eq!(Date::parse(text).map(|date| date.0.to_string()).as_deref(), Some(text));
        }
        for text in [
            "2023-02-29",
            "0000-01-01",
            "2023-1-01",
            "10000-01-01",
            "+2023-01-1",
            "2023-01-01T00:00:00Z",
            "",
        ] {
            assert_eq!(Date::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_decimal_loses_only_trailing_zeros_and_a_bare_point() {
        let cases = [
            ("12.500", "12.5"),
            ("12.", "12"),
            ("100", "100"),
            ("-0.10", "-0.1"),
            (".5", ".5"),
            ("007", "007"),
            (".0", "0"),
            ("-.0", "-0"),
        ];
        for (sent, kept) in cases {
            assert_eq!(Decimal::parse(sent), Some(Decimal(kept.into())), "{sent}");
        }
        for sent in [
            "",
            "-",
            ".",
            "1e5",
            "+1",
            "1,5",
            " 1",
            "1.2.3",
            "1234567890123456789012345678901",
        ] {
            assert_eq!(Decimal::parse(sent), None, "{sent}");
        }
    }

    #[test]
    fn equal_numbers_have_one_comparable_form() {
        for (sent, form) in [
            ("1", "1"),
            ("1.0", "1"),
            ("01", "1"),
            ("1.", "1"),
            ("0.5", ".5"),
            (".50", ".5"),
            ("-00.5", "-.5"),
            ("0", "0"),
            ("-0", "0"),
            ("-.0", "0"),
            ("000", "0"),
            ("100", "100"),
            ("-100", "-100"),
            ("10.010", "10.01"),
        ] {
            let found = Decimal::parse(sent).map(|decimal| Decimal::comparable(&decimal.0));
            assert_eq!(found.as_deref(), Some(form), "{sent}");
        }
    }
}

//! Compares decimal numbers exactly, although they are stored as text: by sign, by the number of digits before the
//! point, then by the digits. SQLite has no decimal type, and a floating-point number has too few digits.

use clientele_core::scalar::Decimal;
use clientele_storage::{db::Dialect, paging::Conditions};

/// A decimal number, in parts that order like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::client::search) struct Number {
    is_negative: bool,
    /// One more than the digits before the point.
    point: i32,
    /// The digits with the point, without leading zeros; empty for zero.
    digits: String,
}

impl Number {
    pub fn parse(text: &str) -> Option<Self> {
        let Decimal(text) = Decimal::parse(text)?;
        let digits = text.trim_start_matches('-').trim_start_matches('0').to_owned();
        let whole = digits.find('.').unwrap_or(digits.len());
        Some(Self {
            is_negative: text.starts_with('-') && !digits.is_empty(),
            point: whole as i32 + 1,
            digits,
        })
    }

    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    pub fn is_negative(&self) -> bool {
        self.is_negative
    }

    /// The text in which equal numbers are equal.
    pub fn canonical(&self) -> String {
        let sign = if self.is_negative { "-" } else { "" };
        format!("{sign}{}", self.digits)
    }

    pub fn bind(&self, conditions: &mut Conditions) -> Bound {
        let dialect = conditions.dialect;
        let point = conditions.bind(self.point);
        let digits = conditions.bind(self.digits.as_str());
        Bound {
            dialect,
            is_negative: self.is_negative,
            point: dialect.cast(&point, "int"),
            digits: dialect.cast(&digits, "text"),
        }
    }
}

/// A number bound to the placeholders of a statement.
pub(in crate::client::search) struct Bound {
    dialect: Dialect,
    is_negative: bool,
    point: String,
    digits: String,
}

impl Bound {
    /// The condition that the number in `expression` is less.
    pub fn less(&self, expression: &str) -> String {
        let below_zero = is_below_zero(expression);
        match self.is_negative {
            true => format!("({below_zero} AND {})", self.digits(expression, '>')),
            false => format!("({below_zero} OR {})", self.digits(expression, '<')),
        }
    }

    /// The condition that the number in `expression` is greater.
    pub fn greater(&self, expression: &str) -> String {
        let below_zero = is_below_zero(expression);
        match self.is_negative {
            true => format!("(NOT {below_zero} OR {})", self.digits(expression, '<')),
            false => format!("(NOT {below_zero} AND {})", self.digits(expression, '>')),
        }
    }

    /// Compares the digits only.
    fn digits(&self, expression: &str, sign: char) -> String {
        let (Self { point, digits, .. }, found) = (self, digits_of(expression));
        let found_point = match self.dialect {
            Dialect::Postgres => format!("strpos({found} || '.', '.')"),
            Dialect::Sqlite => format!("instr({found} || '.', '.')"),
        };
        format!("({found_point}, {found}) {sign} ({point}, {digits})")
    }
}

fn digits_of(expression: &str) -> String {
    format!("ltrim(ltrim({expression}, '-'), '0')")
}

fn is_below_zero(expression: &str) -> String {
    format!("(substr({expression}, 1, 1) = '-' AND {} <> '')", digits_of(expression))
}

/// The expression of a stored number's [canonical](Number::canonical) text.
pub(super) fn canonical(expression: &str) -> String {
    let (below_zero, digits) = (is_below_zero(expression), digits_of(expression));
    format!("(CASE WHEN {below_zero} THEN '-' ELSE '' END || {digits})")
}

//! A position in the change feed: the last change that was read.

use std::fmt;

/// The characters of the feed's name and of a record's HMAC in the check of a position.
const NAME: usize = 4;
const HMAC: usize = 8;

/// The place after a change, or before all changes. Its text is `ORDINAL.ID.CHECK`.
///
/// The check has the name of the feed and the beginning of the HMAC of the change's record. So the position of another
/// database isn't valid in this one, and neither is that of a change which was lost, for example because an older backup
/// was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub(super) ordinal: i64,
    pub(super) id: i64,
    check: String,
}

impl Position {
    /// The position before all changes.
    pub const START: Self = Self {
        ordinal: 0,
        id: 0,
        check: String::new(),
    };

    /// The position after a change of the feed with this name.
    pub(super) fn after(ordinal: i64, id: i64, name: &str, hmac: &str) -> Self {
        let check = name.chars().take(NAME).chain(hmac.chars().take(HMAC));
        Self {
            ordinal,
            id,
            check: check.collect(),
        }
    }

    /// Returns true if this position comes before another one.
    pub(super) fn is_before(&self, other: &Self) -> bool {
        (self.ordinal, self.id) < (other.ordinal, other.id)
    }

    /// Parses the text of a position. None if it isn't exactly one.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let mut number = || parts.next()?.parse::<i64>().ok().filter(|number| *number >= 0);
        let (ordinal, id) = (number()?, number()?);
        let position = Self {
            ordinal,
            id,
            check: parts.next()?.to_owned(),
        };
        let is_check = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        let is_valid = position == Self::START
            || id > 0 && position.check.len() == NAME + HMAC && position.check.bytes().all(is_check);
        (is_valid && position.to_string() == text).then_some(position)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ordinal, id, check } = self;
        write!(formatter, "{ordinal}.{id}.{check}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Position;

    #[test]
    fn text_of_a_position_is_canonical() {
        let position = Position::after(812, 3, "a1f0-ignored", "Zq3f-0B_-ignored");
        assert_eq!(position.to_string(), "812.3.a1f0Zq3f-0B_");
        assert_eq!(Position::parse("812.3.a1f0Zq3f-0B_"), Some(position));
        assert_eq!(Position::parse("0.0."), Some(Position::START));
        for text in [
            "",
            "0",
            "0.0",
            "0.0.x",
            "812.0.",
            "812.3.",
            "812.3.short",
            "812.3.a1f0Zq3f-0B_x",
            "812.3.a1f0Zq3f 0B_",
            "0812.3.a1f0Zq3f-0B_",
            "+812.3.a1f0Zq3f-0B_",
            "-1.3.a1f0Zq3f-0B_",
            "812.-3.a1f0Zq3f-0B_",
            "812.0.a1f0Zq3f-0B_",
            "812.3.a1f0Zq3f.0B_",
            "9223372036854775808.3.a1f0Zq3f-0B_",
            " 0.0.",
            "0.0.\0",
        ] {
            assert_eq!(Position::parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn each_position_is_parsed_from_its_text(ordinal: u32, id in 1..i64::MAX, hmac in "[A-Za-z0-9_-]{43}") {
            let position = Position::after(ordinal.into(), id, "a1f0", &hmac);
            prop_assert_eq!(Position::parse(&position.to_string()), Some(position));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in "\\PC{0,40}") {
            if let Some(position) = Position::parse(&text) {
                prop_assert_eq!(position.to_string(), text);
            }
        }
    }
}

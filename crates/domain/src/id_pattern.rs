//! The form of generated client ids.

use std::fmt;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use clientele_core::text::{forbidden_in_line, is_invisible};

/// A pattern of at most 32 characters: `#` is a digit, `@` a capital letter, `$` either, any other character itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdPattern(String);

impl Default for IdPattern {
    fn default() -> Self {
        Self("@@@######".to_owned())
    }
}

impl TryFrom<String> for IdPattern {
    type Error = String;

    fn try_from(pattern: String) -> Result<Self, String> {
        let length = pattern.chars().count();
        if length > 32 {
            return Err(format!(
                "an id pattern has at most 32 characters; this one has {length}"
            ));
        }
        if !pattern.contains(['#', '@', '$']) {
            return Err("an id pattern needs at least one # (digit), @ (capital letter) or $ (either)".to_owned());
        }
        if forbidden_in_line(&pattern).is_some() || pattern.starts_with(is_invisible) || pattern.ends_with(is_invisible)
        {
            let message = "an id pattern has no control characters, and neither begins nor ends with white space";
            return Err(message.to_owned());
        }
        Ok(Self(pattern))
    }
}

impl From<IdPattern> for String {
    fn from(pattern: IdPattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for IdPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl IdPattern {
    /// A random id of this form.
    pub fn generate(&self, random: &mut impl Rng) -> String {
        const EITHER: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let mut pick = |from: &[u8]| char::from(from[random.random_range(0..from.len())]);
        self.0
            .chars()
            .map(|character| match character {
                '#' => pick(&EITHER[..10]),
                '@' => pick(&EITHER[10..]),
                '$' => pick(EITHER),
                literal => literal,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::IdPattern;

    #[test]
    fn pattern_makes_only_ids_that_could_be_chosen() {
        for pattern in ["#", "C-## @", "@\u{200d}$"] {
            assert!(IdPattern::try_from(pattern.to_owned()).is_ok(), "{pattern:?}");
        }
        for pattern in ["", "search", "..", " #", "# ", "#\u{200b}", "\u{a0}#", "#\n#", "#\0"] {
            assert!(IdPattern::try_from(pattern.to_owned()).is_err(), "{pattern:?}");
        }
    }
}

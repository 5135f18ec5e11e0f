//! The types of custom fields. To add one, add a variant here, and its arms where the compiler asks.

use clientele_core::{
    problem::ProblemCode,
    scalar::{Date, Decimal, is_key},
    text::{forbidden_in_line, forbidden_in_lines},
    text_enum,
};

use super::{Field, FieldState};
use crate::member::TEXT_LIMIT;

text_enum! {
    /// The type of a custom field's values.
    #[graphql(name = "CustomFieldType")]
    Kind {
        /// One line of up to 255 characters.
        Text = "TEXT",
        /// Up to 2,048 characters, with line breaks and tabs.
        LongText = "LONG_TEXT",
        /// One of the field's options.
        Selection = "SELECTION",
        /// A decimal number of up to 30 digits, without an exponent.
        Number = "NUMBER",
        /// TRUE or FALSE.
        Checkbox = "CHECKBOX",
        /// A calendar date, YYYY-MM-DD.
        Date = "DATE",
        /// The key of a client, which must exist.
        ClientLink = "CLIENT_LINK",
        /// The key of a user.
        UserLink = "USER_LINK",
        /// The key of a group.
        GroupLink = "GROUP_LINK",
    }
}

impl Kind {
    /// Returns true if its values are keys of something else.
    pub fn is_link(self) -> bool {
        match self {
            Self::ClientLink | Self::UserLink | Self::GroupLink => true,
            Self::Text | Self::LongText | Self::Selection | Self::Number | Self::Checkbox | Self::Date => false,
        }
    }

    /// Returns true if its values can be unique across clients. They must be short enough for an index.
    pub fn can_be_unique(self) -> bool {
        match self {
            Self::Text | Self::Number | Self::Date | Self::ClientLink | Self::UserLink | Self::GroupLink => true,
            Self::LongText | Self::Selection | Self::Checkbox => false,
        }
    }

    /// The form of a stored value in which equal values are equal texts.
    pub fn comparable(self, value: &str) -> String {
        match self {
            Self::Number => Decimal::comparable(value),
            _ => value.to_owned(),
        }
    }

    /// The SQL expression of [`comparable`](Self::comparable).
    pub fn comparable_sql(self, value: &str) -> String {
        match self {
            Self::Number => format!(
                "CASE WHEN ltrim({value}, '-0') = '' THEN '0' WHEN {value} LIKE '-%' \
                 THEN '-' || ltrim({value}, '-0') ELSE ltrim({value}, '-0') END"
            ),
            _ => value.to_owned(),
        }
    }

    /// The limit in characters, for the types that are free text.
    pub fn longest(self) -> Option<usize> {
        match self {
            Self::Text => Some(255),
            Self::LongText => Some(2_048),
            Self::Selection
            | Self::Number
            | Self::Checkbox
            | Self::Date
            | Self::ClientLink
            | Self::UserLink
            | Self::GroupLink => None,
        }
    }
}

impl Field {
    /// Returns the canonical form of a value for this field. Doesn't check whether a linked client exists.
    ///
    /// # Errors
    /// A code and a sentence, if the value doesn't fit the field.
    pub fn accept(&self, sent: &str) -> Result<String, (ProblemCode, String)> {
        let text = self.canonical(sent)?;
        match self.kind {
            Kind::Text | Kind::LongText => self.accept_text(text),
            Kind::Selection
            | Kind::Number
            | Kind::Checkbox
            | Kind::Date
            | Kind::ClientLink
            | Kind::UserLink
            | Kind::GroupLink => Ok(text),
        }
    }

    /// Like [`accept`](Self::accept), for a value that can be stored already: the pattern and the length of a field
    /// change.
    ///
    /// # Errors
    /// A code and a sentence, if no field of this type can have the value.
    pub fn canonical(&self, sent: &str) -> Result<String, (ProblemCode, String)> {
        self.accept_characters(sent)?;
        let id = &self.row.field_id;
        let refuse = |code, takes: &str| Err((code, format!("The field {id} takes {takes}.")));
        match self.kind {
            Kind::Text | Kind::LongText => Ok(sent.to_owned()),
            Kind::Selection => match self.option(sent) {
                Some(option) if option.state == FieldState::Active.as_str() => Ok(sent.to_owned()),
                Some(_) => {
                    let message = format!("This option of the field {id} is deactivated: choose another one.");
                    Err((ProblemCode::NotAnOption, message))
                }
                None => refuse(ProblemCode::NotAnOption, "one of its options only"),
            },
            Kind::Number => match Decimal::parse(sent) {
                Some(decimal) => Ok(decimal.0),
                None => {
                    let takes = format!("a decimal number of up to {} digits", Decimal::MAX_DIGITS);
                    refuse(ProblemCode::NotANumber, &takes)
                }
            },
            Kind::Checkbox if sent.eq_ignore_ascii_case("true") => Ok("TRUE".to_owned()),
            Kind::Checkbox if sent.eq_ignore_ascii_case("false") => Ok("FALSE".to_owned()),
            Kind::Checkbox => refuse(ProblemCode::NotACheckbox, "TRUE or FALSE"),
            Kind::Date if Date::parse(sent).is_some() => Ok(sent.to_owned()),
            Kind::Date => refuse(ProblemCode::NotADate, "a date of the form YYYY-MM-DD"),
            // The check of linked clients finds a malformed key.
            Kind::ClientLink => Ok(sent.to_owned()),
            Kind::UserLink | Kind::GroupLink if is_key(sent) => Ok(sent.to_owned()),
            Kind::UserLink | Kind::GroupLink => refuse(ProblemCode::Invalid, "a key of 1 to 32 letters and digits"),
        }
    }

    /// Like [`canonical`](Self::canonical), for a value that was stored elsewhere: its option or the linked client may
    /// be gone.
    ///
    /// # Errors
    /// A code and a sentence, if no field of this type could ever have the value.
    pub fn formed(&self, sent: &str) -> Result<String, (ProblemCode, String)> {
        let id = &self.row.field_id;
        // An option is a text of one line.
        let longest = self
            .kind
            .longest()
            .or((self.kind == Kind::Selection).then_some(TEXT_LIMIT));
        self.accept_length(sent, longest)?;
        match self.kind {
            Kind::Selection => self.accept_characters(sent).map(|()| sent.to_owned()),
            Kind::ClientLink if !is_key(sent) => {
                let message = format!("The field {id} takes a key of 1 to 32 letters and digits.");
                Err((ProblemCode::Invalid, message))
            }
            _ => self.canonical(sent),
        }
    }

    fn accept_characters(&self, sent: &str) -> Result<(), (ProblemCode, String)> {
        let id = &self.row.field_id;
        let forbidden = match self.kind {
            Kind::Text => forbidden_in_line(sent),
            Kind::LongText => forbidden_in_lines(sent),
            // These types have their own form, but no database takes NUL.
            Kind::Selection
            | Kind::Number
            | Kind::Checkbox
            | Kind::Date
            | Kind::ClientLink
            | Kind::UserLink
            | Kind::GroupLink => sent.contains('\0').then_some('\0'),
        };
        if let Some(character) = forbidden {
            let number = u32::from(character);
            return Err((
                ProblemCode::InvalidCharacter,
                format!("The field {id} must not contain the character U+{number:04X}."),
            ));
        }
        Ok(())
    }

    fn accept_length(&self, sent: &str, longest: Option<usize>) -> Result<(), (ProblemCode, String)> {
        match longest {
            Some(longest) if sent.chars().nth(longest).is_some() => {
                let id = &self.row.field_id;
                let message = format!("The field {id} takes at most {longest} characters.");
                Err((ProblemCode::TooLong, message))
            }
            _ => Ok(()),
        }
    }

    fn accept_text(&self, sent: String) -> Result<String, (ProblemCode, String)> {
        let id = &self.row.field_id;
        self.accept_length(&sent, self.longest())?;
        match &self.row.pattern {
            Some(pattern) if !fits(pattern, &sent) => {
                let message = format!(
                    "The field {id} takes text of the form {pattern}, where # is a digit, @ a letter and $ either."
                );
                Err((ProblemCode::PatternMismatch, message))
            }
            _ => Ok(sent),
        }
    }
}

/// Returns true if `text` has the form of `pattern`: `#` is a digit, `@` a letter, `$` either, any other character
/// itself.
pub fn fits(pattern: &str, text: &str) -> bool {
    let mut text = text.chars();
    let fits = pattern.chars().all(|expected| {
        text.next().is_some_and(|found| match expected {
            '#' => found.is_ascii_digit(),
            '@' => found.is_alphabetic(),
            '$' => found.is_ascii_digit() || found.is_alphabetic(),
            literal => found == literal,
        })
    });
    fits && text.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_pattern_stands_for_the_whole_text() {
        for (pattern, text, expected) in [
            ("##-@@", "12-Ab", true),
            ("##-@@", "12-A", false),
            ("#", "12", false),
            ("$$", "é7", true),
            ("#", "٣", false),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}

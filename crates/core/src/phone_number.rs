//! Converts phone numbers from any notation into E.164, the format of gateways.

use phonenumber::metadata::DATABASE;
use phonenumber::{Mode, country};

/// A country, to which numbers without a country code belong.
pub type Region = country::Id;

/// The country of a two-letter code, in upper or lower case.
pub fn region(text: &str) -> Option<Region> {
    if text.len() != 2 {
        return None;
    }
    text.to_ascii_uppercase().parse().ok()
}

/// The number in E.164, as in `+15551234567`. A number without a country code belongs to `region`; without a region
/// there is no result.
///
/// A number must be possible, which means that its length fits its country's mobile numbers. It need not be assigned:
/// operators open ranges before libraries list them, and the gateway decides.
pub fn e164(text: &str, region: Option<Region>) -> Option<String> {
    // The library reads letters as keys, and ignores an extension.
    if text.contains(char::is_alphabetic) {
        return None;
    }
    let text = text.trim();
    // For numbers abroad, the library would remove digits that are a trunk prefix at home, and so produce another
    // number.
    let number = match abroad(text, region) {
        Some(text) => phonenumber::parse(None, text),
        None => phonenumber::parse(region, text),
    };
    let number = number.ok().filter(|number| number.extension().is_none())?;
    let length = u16::try_from(number.national().to_string().len()).ok()?;
    let countries = DATABASE.by_code(&number.code().value())?;
    let possible = countries
        .iter()
        .filter_map(|country| country.descriptors().mobile())
        .any(|mobile| mobile.possible_length().contains(&length));
    possible.then(|| number.format().mode(Mode::E164).to_string())
}

/// A number with a country code, written with `+`. None without one.
fn abroad(text: &str, region: Option<Region>) -> Option<String> {
    if text.starts_with(['+', '\u{ff0b}']) {
        // As in +44 (0)7700 900123: the digit in brackets is only for national calls. Italian numbers keep their
        // leading zero.
        let italian = text.trim_start_matches(['+', '\u{ff0b}', ' ']).starts_with("39");
        return Some(if italian {
            text.to_owned()
        } else {
            text.replace("(0)", "")
        });
    }
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let home = DATABASE.by_id(region?.as_ref())?;
    let dialled = home.international_prefix()?.find(&digits)?;
    (dialled.start() == 0).then(|| format!("+{}", &digits[dialled.end()..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{e164, region};

    #[test]
    fn numbers_are_normalised_and_what_is_none_is_refused() {
        for (country, text, normalised) in [
            ("US", "(555) 123-4567", Some("+15551234567")),
            ("US", "555.123.4567", Some("+15551234567")),
            ("us", "1 555 123 4567", Some("+15551234567")),
            ("US", "+49 151 23456789", Some("+4915123456789")),
            ("US", "011 49 151 23456789", Some("+4915123456789")),
            ("GB", "+44 (0)7700 900123", Some("+447700900123")),
            ("", "+44 (0)7700 900123", Some("+447700900123")),
            ("DE", "0151 23456789", Some("+4915123456789")),
            ("DE", "0049 151 23456789", Some("+4915123456789")),
            ("GB", "07700 900123", Some("+447700900123")),
            ("", "+1 555 123 4567", Some("+15551234567")),
            ("", "+44 7700 900123", Some("+447700900123")),
            ("", "+39 06 1234 5678", Some("+390612345678")),
            ("", "  +254712345678 ", Some("+254712345678")),
            ("", "(555) 123-4567", None),
            ("", "0151 23456789", None),
            ("US", "555", None),
            ("US", "555 123 456", None),
            ("US", "555 123 4567 8901", None),
            ("US", "555 123 4567 ext. 89", None),
            ("US", "1-800-FLOWERS", None),
            ("US", "+999 123 4567", None),
            ("US", "ines@example.test", None),
            ("US", "+", None),
            ("US", "", None),
        ] {
            assert_eq!(e164(text, region(country)).as_deref(), normalised, "{country} {text}");
        }
    }

    #[test]
    fn a_region_is_a_country_of_two_letters() {
        for text in ["US", "us", "DE", "KE", "XK"] {
            assert!(region(text).is_some(), "{text}");
        }
        for text in ["", "U", "USA", "ZZ", "00", "U S", "ÜS"] {
            assert!(region(text).is_none(), "{text}");
        }
    }

    #[test]
    fn no_country_code_is_too_much_for_the_library() {
        for code in 0..1_000 {
            let _ = e164(&format!("+{code}5551234567"), None);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_number_or_none(text in any::<String>(), number in "[+0-9 ()./;=#*-]{0,24}") {
            for text in [text, number] {
                for country in ["", "US", "IT"] {
                    if let Some(normalised) = e164(&text, region(country)) {
                        prop_assert!(normalised.strip_prefix('+').is_some_and(|digits| {
                            (3..=15).contains(&digits.len()) && digits.chars().all(|digit| digit.is_ascii_digit())
                        }), "{} became {}", text, normalised);
                    }
                }
            }
        }
    }
}

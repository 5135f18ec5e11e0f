//! The channel for development: logs a line instead of sending a message. The line doesn't contain the message, and the
//! recipient is masked: enough remains to distinguish most of them, too little to contact one.

use super::{LOGGED, Outcome, Outgoing};
use clientele_domain::enums::Channel;

const HIDDEN: &str = "***";
/// Shorter numbers and names are masked completely: a part would reveal most of them.
const FEWEST_DIGITS: usize = 7;
const SHORTEST_NAME: usize = 3;
/// The longest top-level domain in use is not much longer.
const LONGEST_TOP_LEVEL: usize = 12;

pub(super) fn send(channel: Channel, message: &Outgoing) -> Outcome {
    tracing::info!(
        channel = channel.as_str(),
        key = message.key,
        recipient = masked(&message.recipient),
        "a message that no channel sends"
    );
    Outcome::Sent {
        provider_id: Some(LOGGED.to_owned()),
    }
}

/// Masks an e-mail address as `i***@***.test` and a phone number as `***67`. Shorter and other texts become `***`.
fn masked(recipient: &str) -> String {
    match recipient.rsplit_once('@') {
        Some((name, domain)) => format!("{}{HIDDEN}@{HIDDEN}{}", initial(name), top_level(domain)),
        None => format!("{HIDDEN}{}", last_digits(recipient)),
    }
}

fn initial(name: &str) -> String {
    let first = name.chars().next().filter(|first| first.is_alphanumeric());
    match first {
        Some(first) if name.chars().count() >= SHORTEST_NAME => first.to_string(),
        _ => String::new(),
    }
}

fn top_level(domain: &str) -> String {
    match domain.rsplit_once('.') {
        Some((_, label))
            if label.len() <= LONGEST_TOP_LEVEL && label.chars().all(|letter| letter.is_ascii_alphabetic()) =>
        {
            format!(".{label}")
        }
        _ => String::new(),
    }
}

fn last_digits(number: &str) -> String {
    let digits: Vec<char> = number.chars().filter(char::is_ascii_digit).collect();
    if digits.len() < FEWEST_DIGITS {
        return String::new();
    }
    digits[digits.len() - 2..].iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::masked;

    #[test]
    fn a_mask_shows_an_initial_a_top_level_domain_and_two_digits_at_most() {
        for (recipient, shown) in [
            ("ines.okafor@example.test", "i***@***.test"),
            ("io@example.test", "***@***.test"),
            ("Émile@example.test", "É***@***.test"),
            ("\"a b\"@example.test", "***@***.test"),
            ("ines@localhost", "i***@***"),
            ("ines@[192.0.2.17]", "i***@***"),
            ("a@b@c.okafor-ines", "a***@***"),
            ("+1 (555) 123-4567", "***67"),
            ("555-123", "***"),
            ("112", "***"),
            ("Ines Okafor", "***"),
            ("@", "***@***"),
            ("", "***"),
        ] {
            assert_eq!(masked(recipient), shown, "{recipient}");
        }
    }

    proptest! {
        #[test]
        fn of_any_text_at_most_one_character_of_the_name_and_two_digits_are_left(text in any::<String>()) {
            let shown = masked(&text);
            match text.rsplit_once('@') {
                Some((name, _)) => {
                    let (left, _) = shown.split_once("***@***").expect("the form of an address");
                    prop_assert!(left.chars().count() <= 1 && name.starts_with(left));
                }
                None => {
                    let left = shown.strip_prefix("***").expect("the form of a number");
                    prop_assert!(left.len() <= 2 && left.chars().all(|digit| digit.is_ascii_digit()));
                }
            }
        }

        #[test]
        fn of_a_phone_number_no_three_digits_in_a_row_are_left(number in "\\+?[0-9 ().-]{0,20}") {
            let shown: usize = masked(&number).chars().filter(char::is_ascii_digit).count();
            prop_assert!(shown == 0 || shown == 2);
        }

        #[test]
        fn of_an_address_no_two_characters_of_the_name_are_left(
            name in "[a-z0-9.+_-]{1,64}",
            domain in "[a-z]{1,20}\\.com",
        ) {
            let shown = masked(&format!("{name}@{domain}"));
            prop_assert!(shown == "***@***.com" || (shown.ends_with("***@***.com") && shown.chars().count() == 12));
        }
    }
}

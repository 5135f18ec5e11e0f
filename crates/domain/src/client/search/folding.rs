//! Folds texts, so that equal names, addresses and numbers become equal texts however they are written.
//!
//! This is done here: the databases fold letters by rules of their own, which depend on their locale. A change of
//! these functions needs a new [`FORM`].

use std::collections::HashSet;

use unicode_normalization::{
    UnicodeNormalization,
    char::{canonical_combining_class, is_combining_mark},
};

use clientele_core::text::is_invisible;

/// The version of the folding. Rows of another version are written again at the start of a server.
pub const FORM: i32 = 1;
/// Limit of a folded text in characters, because the bytes of an index entry are limited.
pub const LONGEST_TEXT: usize = 255;
/// Limit of the words of a client in bytes.
const LONGEST_WORDS: usize = 4_000;

/// The text in lower case, without accents and invisible characters, and with single spaces.
pub fn fold(text: &str) -> String {
    match text.is_ascii() {
        true => spaced(
            text,
            text.chars().map(|character| unified(character).to_ascii_lowercase()),
        ),
        false => fold_unicode(text),
    }
}

fn fold_unicode(text: &str) -> String {
    let unified = text.chars().map(unified).filter(|character| !is_hidden(*character));
    let bare = unified.nfkd().filter(|character| !is_accent(*character));
    // The decomposition split voiced kana and Hangul, too.
    let composed = bare.nfc();
    let lower = composed
        .flat_map(char::to_lowercase)
        .nfkd()
        .filter(|lower| !is_accent(*lower))
        .nfc();
    spaced(text, lower)
}

/// The characters of a folded text, with single spaces.
fn spaced(text: &str, characters: impl Iterator<Item = char>) -> String {
    let mut folded = String::with_capacity(text.len());
    for character in characters {
        match plain(character) {
            Some(plain) => folded.push_str(plain),
            None if !character.is_whitespace() => folded.push(character),
            None if folded.is_empty() || folded.ends_with(' ') => {}
            None => folded.push(' '),
        }
    }
    if folded.ends_with(' ') {
        folded.pop();
    }
    shortened(folded)
}

/// The digits of a phone number, without a leading 00, which stands for +. None without digits.
pub fn phone(text: &str) -> Option<String> {
    let digits: String = text.nfkd().filter(char::is_ascii_digit).take(LONGEST_TEXT).collect();
    let digits = digits.strip_prefix("00").map(str::to_owned).unwrap_or(digits);
    (!digits.is_empty()).then_some(digits)
}

/// The letters and digits of a folded document number; all its characters if it has neither.
pub fn document_number(text: &str) -> String {
    let folded = fold(text);
    let letters: String = folded.chars().filter(|character| is_of_word(*character)).collect();
    if letters.is_empty() { folded } else { letters }
}

/// The part of an e-mail address before the domain, which many clients share. Another text stays as it is.
pub fn mailbox(text: &str) -> &str {
    text.rsplit_once('@').map_or(text, |(mailbox, _)| mailbox)
}

/// The words of a text, folded: runs of letters and digits. Apostrophes don't separate them.
pub fn words(text: &str) -> Vec<String> {
    let folded = fold(text).replace('\'', "");
    let words = folded.split(|character| !is_of_word(character));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A word in lower-case ASCII. The trigrams of PostgreSQL have only letters that the database's locale knows, and with
/// the locale C, those are the letters of ASCII. Other letters become three characters each.
pub fn in_ascii(word: &str) -> String {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut ascii = String::with_capacity(word.len());
    for character in word.chars() {
        if character.is_ascii() {
            ascii.push(character);
            continue;
        }
        // Neighbours in the alphabet differ in all three characters.
        let mut code = u64::from(u32::from(character)) * 23_753 % 46_656;
        for _ in 0..3 {
            ascii.push(char::from(DIGITS[code as usize % 36]));
            code /= 36;
        }
    }
    ascii
}

/// Joins the words in ASCII with spaces, each word once, up to `LONGEST_WORDS`.
pub fn joined(words: impl IntoIterator<Item = String>) -> String {
    let (mut text, mut seen) = (String::new(), HashSet::new());
    for word in words {
        let word = in_ascii(&word);
        if text.len() + word.len() >= LONGEST_WORDS {
            break;
        }
        if !seen.contains(&word) {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(&word);
            seen.insert(word);
        }
    }
    text
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || is_combining_mark(character)
}

fn is_hidden(character: char) -> bool {
    is_invisible(character) && !character.is_whitespace()
}

/// The accents of the Latin, Greek, Cyrillic, Hebrew and Arabic scripts. In other scripts, marks are letters.
fn is_accent(character: char) -> bool {
    is_combining_mark(character) && matches!(canonical_combining_class(character), 10..=36 | 202..=240)
}

/// Returns one character for all that look alike.
fn unified(character: char) -> char {
    match character {
        '‘' | '’' | '‛' | 'ʻ' | 'ʼ' | '`' | '´' | 'ʹ' | '′' => '\'',
        '‐' | '‑' | '‒' | '–' | '—' | '−' => '-',
        _ => character,
    }
}

/// Returns the usual replacement of a Latin letter outside ASCII, and the plain form of the Greek final sigma.
fn plain(character: char) -> Option<&'static str> {
    Some(match character {
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'þ' => "th",
        'ł' => "l",
        'ħ' => "h",
        'ı' => "i",
        'ς' => "σ",
        _ => return None,
    })
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT) {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{LONGEST_TEXT, LONGEST_WORDS, document_number, fold, fold_unicode, in_ascii, joined, phone, words};

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn ascii_is_folded_as_other_text_is(text in "[\\x00-\\x7f]{0,300}") {
            prop_assert_eq!(fold(&text), fold_unicode(&text));
        }
    }

    #[test]
    fn names_that_differ_in_case_and_accents_are_equal() {
        for (text, folded) in [
            ("José  MARÍA ", "jose maria"),
            ("Straße", "strasse"),
            ("STRASSE", "strasse"),
            ("Øyvind Łukasz Þór", "oyvind lukasz thor"),
            ("O’Brien", "o'brien"),
            ("İstanbul Iğdır", "istanbul igdir"),
            ("ΟΔΥΣΣΕΎΣ", "οδυσσευσ"),
            ("Йосиф", "иосиф"),
            ("ｆｕｌｌ ﬁ", "full fi"),
            ("ガ", "ガ"),
            ("한글", "한글"),
            ("zero\u{200b}width", "zerowidth"),
            ("", ""),
        ] {
            assert_eq!(fold(text), folded, "{text:?}");
            assert_eq!(fold(folded), folded, "{folded:?}: twice");
        }
    }

    #[test]
    fn a_folded_text_has_a_longest_length() {
        let longest = "x".repeat(LONGEST_TEXT);
        assert_eq!(fold(&longest), longest);
        assert_eq!(fold(&format!("{longest}y")), longest);
        // One character that folds to eighteen.
        assert_eq!(fold(&"\u{fdfa}".repeat(255)).chars().count(), LONGEST_TEXT);
    }

    #[test]
    fn phone_numbers_are_compared_by_their_digits() {
        for (text, digits) in [
            ("+47 900 00-123", Some("4790000123")),
            ("0047 (900) 00123", Some("4790000123")),
            ("900 00 123", Some("90000123")),
            ("none", None),
            ("00", None),
        ] {
            assert_eq!(phone(text).as_deref(), digits, "{text:?}");
        }
    }

    #[test]
    fn document_numbers_are_compared_by_letters_and_digits() {
        assert_eq!(document_number("AB 123-45"), "ab12345");
        assert_eq!(document_number("--"), "--");
    }

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        assert_eq!(words("Anna-Maria O'Brien, d.A."), ["anna", "maria", "obrien", "d", "a"]);
        assert_eq!(words(" ' - "), [""; 0]);
    }

    #[test]
    fn letters_beyond_ascii_become_three_characters() {
        assert_eq!(in_ascii("ada9"), "ada9");
        let cyrillic = in_ascii("иван");
        assert_eq!((cyrillic.len(), cyrillic.is_ascii()), (12, true));
        let codes: std::collections::HashSet<String> =
            ('а'..='я').map(|letter| in_ascii(&letter.to_string())).collect();
        assert_eq!(codes.len(), 32);
    }

    #[test]
    fn words_are_joined_once_as_far_as_there_is_room() {
        let text = |list: &[&str]| joined(list.iter().map(|word| (*word).to_owned()));
        assert_eq!(text(&["ada", "byron", "ada"]), "ada byron");
        let long = "x".repeat(LONGEST_WORDS - 5);
        assert_eq!(text(&[&long, "abc", "d"]).len(), LONGEST_WORDS - 1);
        assert_eq!(text(&[&long, "abcd", "d"]).len(), LONGEST_WORDS);
        assert_eq!(text(&[&long, "abcde", "d"]).len(), LONGEST_WORDS - 5);
    }
}

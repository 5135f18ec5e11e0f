//! The text of a search: its words, and the id, address or number that the whole text can be.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::digest::{Context, SHA256};

use super::folding::{document_number, fold, in_ascii, mailbox, phone, words};
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
};

/// Limit of the text of a search in characters.
pub const LONGEST_SEARCH: usize = 200;
/// Limit of its words.
pub const MOST_WORDS: usize = 8;
/// A word of letters from this length on may be misspelled, where the database can compare trigrams.
const SHORTEST_SIMILAR: usize = 6;
/// The digits of a phone number from which on a leading 0 is left off.
const SHORTEST_PHONE: usize = 6;
/// The bytes of a search's fingerprint.
const FINGERPRINT: usize = 9;
/// The length of a trigram in characters.
const TRIGRAM: usize = 3;

/// A word of a search.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Word {
    pub kind: WordKind,
    pub folded: String,
    pub ascii: String,
}

/// The texts of a client that a word matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum WordKind {
    /// It is shorter than a trigram: the first or the last name must begin with it.
    Beginning,
    /// It must be part of any text.
    Part,
    /// It must be part of a name or another word without digits or, where the database can compare trigrams, be similar
    /// to a part of one.
    Similar,
}

impl Word {
    fn of(folded: String) -> Self {
        let (length, ascii) = (folded.chars().count(), in_ascii(&folded));
        // The code of a single letter beyond ASCII could also be parts of two others.
        let kind = if length < TRIGRAM && ascii.len() < 2 * TRIGRAM {
            WordKind::Beginning
        } else if length >= SHORTEST_SIMILAR && !folded.contains(char::is_numeric) {
            WordKind::Similar
        } else {
            WordKind::Part
        };
        Self { kind, folded, ascii }
    }
}

/// The text of a search.
#[derive(Clone, Debug)]
pub(super) struct SearchText {
    /// Sorted by kind, because the statement depends on their order.
    pub words: Vec<Word>,
    /// The values that the whole text can be.
    pub client_id: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub document_id: Option<String>,
}

impl SearchText {
    /// # Errors
    /// A text that is too long, or has too many words or none.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let refuse = |code, message: String| Err(Problem::new(code, path!["search"], message));
        if text.chars().count() > LONGEST_SEARCH {
            let message = format!("search must have at most {LONGEST_SEARCH} characters.");
            return refuse(ProblemCode::TooLong, message);
        }
        let is_of_number = |character: char| character.is_ascii_digit() || " +-/().".contains(character);
        let phone = text.chars().all(is_of_number).then(|| phone(text)).flatten();
        // Phone numbers are stored without separators.
        let found = match &phone {
            Some(digits) => vec![without_trunk_prefix(digits).to_owned()],
            None => text.split_whitespace().map(mailbox).flat_map(words).collect(),
        };
        if found.is_empty() {
            return refuse(ProblemCode::Blank, "search must have a letter or a digit.".to_owned());
        }
        if found.len() > MOST_WORDS {
            return refuse(
                ProblemCode::TooMany,
                format!("search must have at most {MOST_WORDS} words."),
            );
        }
        let mut words: Vec<Word> = found.into_iter().map(Word::of).collect();
        words.sort();
        words.dedup();
        let whole = text.trim();
        let is_storable = !whole.contains('\0');
        Ok(Self {
            words,
            client_id: is_storable.then(|| whole.to_owned()),
            email: (is_storable && whole.contains('@')).then(|| fold(whole)),
            phone,
            document_id: is_storable.then(|| document_number(whole)),
        })
    }

    /// A short text that differs from that of a search that finds other clients.
    pub fn fingerprint(&self) -> String {
        let whole = [&self.client_id, &self.email, &self.phone, &self.document_id];
        let whole = whole.map(Option::as_deref).map(Option::unwrap_or_default);
        let words = self.words.iter().map(|word| word.folded.as_str());
        let mut context = Context::new(&SHA256);
        for text in whole.into_iter().chain(words) {
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
        BASE64_URL_SAFE_NO_PAD.encode(&context.finish().as_ref()[..FINGERPRINT])
    }
}

/// A phone number without the 0 that is dialled only within a country, so that it is also found with the country's
/// code. The shortest numbers keep it: they are more likely parts of others.
fn without_trunk_prefix(digits: &str) -> &str {
    match digits.strip_prefix('0') {
        Some(rest) if rest.len() >= SHORTEST_PHONE && !rest.starts_with('0') => rest,
        _ => digits,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        LONGEST_SEARCH, MOST_WORDS, SearchText,
        WordKind::{Beginning, Part, Similar},
    };
    use clientele_core::problem::ProblemCode;

    #[test]
    fn words_differ_by_what_they_match() {
        for (text, expected) in [
            (
                "Li anna GARCÍA a1b2c3",
                &[(Beginning, "li"), (Part, "a1b2c3"), (Part, "anna"), (Similar, "garcia")][..],
            ),
            ("+47 900-00", &[(Part, "4790000")]),
            ("0900 00 12", &[(Part, "9000012")]),
            ("0 900-001", &[(Part, "900001")]),
            ("090001", &[(Part, "090001")]),
            ("0049 30 44", &[(Part, "493044")]),
            ("00 0900012", &[(Part, "900012")]),
            ("王", &[(Beginning, "王")]),
            ("王伟", &[(Part, "王伟")]),
            ("anna Anna", &[(Part, "anna")]),
            ("ana.brien@example.test", &[(Part, "ana"), (Part, "brien")]),
        ] {
            let search = SearchText::parse(text).expect("a search");
            let words: Vec<_> = search.words.iter().map(|word| (word.kind, &*word.folded)).collect();
            assert_eq!(words, expected, "{text}");
        }
    }

    #[test]
    fn whole_text_can_be_an_id_an_address_or_a_number() {
        let whole = |text: &str| {
            let search = SearchText::parse(text).expect("a search");
            [search.client_id, search.email, search.phone, search.document_id].map(Option::unwrap_or_default)
        };
        assert_eq!(whole(" Ab-1 "), ["Ab-1", "", "", "ab1"]);
        assert_eq!(
            whole("A@Example.test"),
            ["A@Example.test", "a@example.test", "", "aexampletest"]
        );
        assert_eq!(whole("0047 90"), ["0047 90", "", "4790", "004790"]);
        assert_eq!(whole("a\0"), [""; 4]);
    }

    #[test]
    fn a_search_has_limits() {
        let code = |text: &str| SearchText::parse(text).map(|_| ()).map_err(|problem| problem.code);
        assert_eq!(code(&"x".repeat(LONGEST_SEARCH)), Ok(()));
        assert_eq!(code(&"x".repeat(LONGEST_SEARCH + 1)), Err(ProblemCode::TooLong));
        let words = |count: usize| (0..count).map(|at| format!("word{at} ")).collect::<String>();
        assert_eq!(code(&words(MOST_WORDS)), Ok(()));
        assert_eq!(code(&words(MOST_WORDS + 1)), Err(ProblemCode::TooMany));
        for blank in ["", " ", "\u{200b}", "?!", "\0", "+", "@example.test"] {
            assert_eq!(code(blank), Err(ProblemCode::Blank), "{blank:?}");
        }
    }
}

//! Cleans a provider's texts for storage and display: one line of limited length.

use std::error::Error;

/// The maximum number of characters kept.
const LONGEST: usize = 255;

/// Cleans `text`. None when nothing is left.
pub(super) fn cleaned(text: &str) -> Option<String> {
    let line: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(LONGEST)
        .collect();
    let line = line.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

/// The root cause of an error: libraries wrap it in texts of their own.
pub(super) fn cause(error: &(dyn Error + 'static)) -> Option<String> {
    cleaned(&chain(error).last().unwrap_or(error).to_string())
}

/// Returns true when an error was caused by TLS, at any depth.
pub(super) fn is_tls(error: &(dyn Error + 'static)) -> bool {
    chain(error).any(|error| error.is::<rustls::Error>())
}

/// An error and its causes. An I/O error hides its inner error from `source`, but not from `get_ref`.
fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| {
        match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::cleaned;

    #[test]
    fn words_are_one_line_of_at_most_255_characters() {
        for (text, kept) in [
            ("2.0.0 Ok\r\n", Some("2.0.0 Ok".to_owned())),
            ("a\r\nb\tc\0d\u{85}e", Some("a  b c d e".to_owned())),
            ("\r\n", None),
            ("", None),
            (&"é".repeat(300), Some("é".repeat(255))),
        ] {
            assert_eq!(cleaned(text), kept);
        }
    }
}

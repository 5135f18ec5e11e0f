//! Predicates on input texts: blank, invisible, control characters.

use std::borrow::Cow;

/// Returns true when the text is empty or has only white space and invisible characters.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(is_invisible)
}

/// Returns true when the text has a control character (Unicode category Cc): U+0000 to U+001F or U+007F to U+009F. Line
/// breaks and tabs are among them.
pub fn has_control_characters(text: &str) -> bool {
    text.contains(char::is_control)
}

/// The first control character. A text of one line must not contain any. Line separators (U+2028) and bidirectional
/// marks are allowed: they are stored as sent, and escaped for terminals.
pub fn forbidden_in_line(text: &str) -> Option<char> {
    text.chars().find(|character| character.is_control())
}

/// The first control character other than CR, LF and TAB. A text of several lines must not contain any.
pub fn forbidden_in_lines(text: &str) -> Option<char> {
    let forbidden = |character: &char| character.is_control() && !matches!(character, '\n' | '\r' | '\t');
    text.chars().find(forbidden)
}

/// Returns true for white space, for the Default_Ignorable_Code_Points of Unicode 16, which aren't drawn, and for two
/// characters drawn without ink. Other control characters are refused separately and don't count as invisible.
pub const fn is_invisible(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fff8}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
                // Blank Braille pattern, and musical null notehead.
                | '\u{2800}'
                | '\u{1d159}'
        )
}

/// The text with `\u{…}` in place of characters that would move the cursor, erase lines, reverse the text or disguise
/// names. Joiners and variation selectors stay: scripts need them.
pub fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unprintable) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match is_unprintable(character) {
            true => safe.extend(character.escape_unicode()),
            false => safe.push(character),
        }
    }
    Cow::Owned(safe)
}

fn is_unprintable(character: char) -> bool {
    let is_joiner = matches!(character, '\u{200c}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}');
    let breaks_line = matches!(character, '\u{2028}' | '\u{2029}');
    character.is_control() || breaks_line || is_invisible(character) && !character.is_whitespace() && !is_joiner
}

#[cfg(test)]
mod tests {
    use super::{escaped, forbidden_in_line, forbidden_in_lines, has_control_characters, is_blank};

    #[test]
    fn text_of_invisible_characters_is_blank() {
        let white_space = " \t\n\u{a0}\u{1680}\u{2003}\u{3000}";
        let ignorable =
            "\u{ad}\u{34f}\u{200b}\u{200d}\u{200e}\u{202e}\u{2060}\u{2066}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{e0041}";
        for character in white_space.chars().chain(ignorable.chars()).chain(['\u{2800}']) {
            assert!(is_blank(&character.to_string()), "{character:?}");
            assert!(is_blank(&format!(" {character}\u{200b}")), "{character:?}");
            assert!(!is_blank(&format!("{character}a")), "{character:?}");
        }
        assert!(is_blank(""));
        for visible in ["a", "0", ".", "é", "日", "👩\u{200d}💻", "\0", "\u{301}", "\u{10000}"] {
            assert!(!is_blank(visible), "{visible:?}");
        }
    }

    #[test]
    fn control_characters_are_found() {
        for character in ['\0', '\t', '\n', '\r', '\u{1b}', '\u{1f}', '\u{7f}', '\u{85}', '\u{9b}'] {
            assert!(has_control_characters(&format!("a{character}b")), "{character:?}");
        }
        for plain in ["", "a b", "é", "\u{a0}", "\u{200d}", "日本"] {
            assert!(!has_control_characters(plain), "{plain:?}");
        }
    }

    #[test]
    fn line_breaks_are_for_texts_of_several_lines() {
        for (text, line, lines) in [
            ("", None, None),
            ("a\u{200b}\u{202e}é", None, None),
            ("a\r\n\tb", Some('\r'), None),
            ("a\u{2028}b", None, None),
            ("a\n\0", Some('\n'), Some('\0')),
            ("a\u{b}b", Some('\u{b}'), Some('\u{b}')),
            ("a\u{7f}b", Some('\u{7f}'), Some('\u{7f}')),
            ("a\u{85}b", Some('\u{85}'), Some('\u{85}')),
        ] {
            assert_eq!(
                (forbidden_in_line(text), forbidden_in_lines(text)),
                (line, lines),
                "{text:?}"
            );
        }
    }

    #[test]
    fn escaped_text_cannot_steer_a_terminal() {
        assert_eq!(escaped("Ana Müller"), "Ana Müller");
        assert_eq!(escaped("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(escaped("a\nb\u{202e}c\u{200b}"), "a\\u{a}b\\u{202e}c\\u{200b}");
    }
}

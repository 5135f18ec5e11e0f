//! Conditions on the beginning of texts, as ranges that an index serves.

use clientele_storage::paging::Conditions;

/// Adds the condition of texts that begin with `prefix`: a range, so that an index serves it.
pub(super) fn with_prefix(conditions: &mut Conditions, column: &str, prefix: Option<&String>) {
    conditions.text(prefix, |placeholder| format!("{column} >= {placeholder}"));
    let end = prefix.and_then(|prefix| end_of_prefix(prefix));
    conditions.text(end.as_ref(), |placeholder| format!("{column} < {placeholder}"));
}

/// The condition of a folded name that begins with a text, in the form that an index serves.
pub(super) fn begins(name: &str, prefix: &str, conditions: &mut Conditions) -> String {
    let from = conditions.bind(prefix);
    match end_of_prefix(prefix) {
        Some(end) => format!("({name} >= {from} AND {name} < {})", conditions.bind(end)),
        None => format!("{name} >= {from}"),
    }
}

/// Returns the smallest text that is greater than all that begin with `prefix`; none if there is no such text.
pub(super) fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // Surrogates aren't characters: U+E000 follows U+D7FF.
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::end_of_prefix;

    #[test]
    fn a_prefix_ends_before_the_next_character() {
        for (prefix, end) in [
            ("Ab", Some("Ac")),
            ("A\u{D7FF}", Some("A\u{E000}")),
            ("A\u{10FFFF}", Some("B")),
            ("\u{10FFFF}", None),
            ("", None),
        ] {
            assert_eq!(end_of_prefix(prefix).as_deref(), end, "{prefix:?}");
        }
    }
}

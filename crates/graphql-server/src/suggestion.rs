//! Suggests the name that a misspelt one most likely means.

/// Longer names aren't compared: the comparison takes time for each pair of letters.
const LONGEST: usize = 64;

/// The beginning of a suggestion, in async-graphql's messages, too.
const BEGIN: &str = " Did you mean \"";

/// The sentence that names the nearest of the known names, after a space; empty if none is near.
pub(crate) fn suggestion<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> String {
    if unknown.len() > LONGEST {
        return String::new();
    }
    let pairs = known.map(|name| (distance(unknown, name), name));
    let near = pairs.filter(|(distance, name)| distance * 2 < name.len().max(unknown.len()));
    near.min()
        .map_or_else(String::new, |(_, name)| format!("{BEGIN}{name}\"?"))
}

/// Removes the suggestion from a message.
pub(crate) fn remove(message: &mut String) {
    if let Some(at) = message.find(BEGIN) {
        message.truncate(at);
    }
}

/// The number of letters to insert, remove or replace.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.bytes().enumerate() {
        let mut diagonal = index;
        row[0] = index + 1;
        for (at, other) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[at + 1];
            row[at + 1] = replaced.min(diagonal + 1).min(row[at] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, distance, suggestion};

    #[test]
    fn distance_counts_changed_letters() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("fistName", "firstName", 1),
            ("kitten", "sitting", 3),
            ("name", "nmae", 2),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
            assert_eq!(distance(to, from), expected, "{to} {from}");
        }
    }

    #[test]
    fn nearest_name_is_suggested() {
        let known = ["firstName", "lastName", "a"];
        let of = |unknown: &str| suggestion(unknown, known.into_iter());
        assert_eq!(of("fistName"), " Did you mean \"firstName\"?");
        assert_eq!(of("lstName"), " Did you mean \"lastName\"?");
        assert_eq!(of("colour"), "");
        assert_eq!(of("b"), "");
        let long = "n".repeat(LONGEST);
        let known = [long.as_str()];
        assert_ne!(suggestion(&long[1..], known.into_iter()), "");
        assert_ne!(suggestion(&long, known.into_iter()), "");
        assert_eq!(suggestion(&format!("{long}n"), known.into_iter()), "");
    }
}

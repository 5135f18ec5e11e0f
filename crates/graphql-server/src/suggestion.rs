//! Suggests the name that a misspelt one most likely means.

use clientele_core::spelling::distance;

/// Longer names aren't compared: the comparison takes time for each pair of letters.
const LONGEST: usize = 64;

/// The beginning of a suggestion, in async-graphql's messages, too.
const BEGIN: &str = " Did you mean \"";

/// The sentence that names the nearest of the known names, after a space; empty if none is near.
pub(crate) fn suggestion<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> String {
    if unknown.len() > LONGEST {
        return String::new();
    }
    let most = |name: &str| name.len().max(unknown.len()).saturating_sub(1) / 2;
    let near = known.filter_map(|name| Some((distance(unknown, name, most(name))?, name)));
    near.min()
        .map_or_else(String::new, |(_, name)| format!("{BEGIN}{name}\"?"))
}

/// Removes the suggestion from a message.
pub(crate) fn remove(message: &mut String) {
    if let Some(at) = message.find(BEGIN) {
        message.truncate(at);
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, suggestion};

    #[test]
    fn nearest_name_is_suggested() {
        let known = ["firstName", "lastName", "a"];
        let of = |unknown: &str| suggestion(unknown, known.into_iter());
        assert_eq!(of("fistName"), " Did you mean \"firstName\"?");
        assert_eq!(of("lstName"), " Did you mean \"lastName\"?");
        assert_eq!(of("LASTNAME"), " Did you mean \"lastName\"?");
        assert_eq!(of("colour"), "");
        // Less than half of the letters may differ.
        assert_eq!(of("lastXYZe"), " Did you mean \"lastName\"?");
        assert_eq!(of("lastXYZW"), "");
        assert_eq!(of("b"), "");
        let long = "n".repeat(LONGEST);
        let known = [long.as_str()];
        assert_ne!(suggestion(&long[1..], known.into_iter()), "");
        assert_ne!(suggestion(&long, known.into_iter()), "");
        assert_eq!(suggestion(&format!("{long}n"), known.into_iter()), "");
    }
}

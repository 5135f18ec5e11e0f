//! Compares spellings, so that errors can suggest the name that a misspelt one means.

/// Returns the number of letters that are wrong, missing, additional or swapped with their neighbour, without regard to
/// case; none if there are more than `most`.
pub fn distance(one: &str, other: &str, most: usize) -> Option<usize> {
    // The comparison takes time for each pair of letters, and most names differ in their lengths.
    if one.chars().count().abs_diff(other.chars().count()) > most {
        return None;
    }
    let distance = strsim::damerau_levenshtein(&one.to_lowercase(), &other.to_lowercase());
    Some(distance).filter(|distance| *distance <= most)
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distance_counts_changed_letters() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("fistName", "firstName", 1),
            ("FirstNAME", "firstName", 0),
            ("kitten", "sitting", 3),
            ("name", "nmae", 1),
            ("é", "É", 0),
        ] {
            for (one, other) in [(one, other), (other, one)] {
                assert_eq!(distance(one, other, expected), Some(expected), "{one} {other}");
                let less = expected.checked_sub(1).and_then(|less| distance(one, other, less));
                assert_eq!(less, None, "{one} {other}");
            }
        }
    }
}

//! Members whose legacy names differ from the domain's names: one table for both directions.

/// The domain's name and the legacy name.
const NAMES: [(&str, &str); 5] = [
    ("clientId", "id"),
    ("fieldId", "customFieldID"),
    ("groupIndex", "customFieldSetGroupIndex"),
    ("linkedKey", "linkedEntityKeyValue"),
    ("templateKey", "identificationDocumentTemplateKey"),
];

/// The legacy name of a member.
pub fn legacy(name: &str) -> &str {
    NAMES
        .iter()
        .find(|(domain, _)| *domain == name)
        .map_or(name, |(_, legacy)| legacy)
}

/// A message of the domain in legacy names. `about` is the id of the custom field it concerns: the bank chose that id,
/// so it is never replaced.
pub fn legacy_sentence(sentence: &str, about: Option<&str>) -> String {
    // The reference to a GraphQL query is of no use to callers of this API.
    let sentence = match sentence.split_once(": the query ") {
        Some((beginning, _)) => format!("{beginning}."),
        None => sentence.to_owned(),
    };
    match about.filter(|about| !about.is_empty()) {
        Some(about) => sentence.split(about).map(translate).collect::<Vec<_>>().join(about),
        None => translate(&sentence),
    }
}

fn translate(text: &str) -> String {
    text.split_inclusive(|character: char| !character.is_alphanumeric())
        .map(|piece| {
            let word = piece.trim_end_matches(|character: char| !character.is_alphanumeric());
            format!("{}{}", legacy(word), &piece[word.len()..])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::legacy_sentence;

    #[test]
    fn sentences_speak_of_legacy_members() {
        for (domain, about, expected) in [
            ("clientId can't be changed.", None, "id can't be changed."),
            (
                "send value, not linkedKey.",
                None,
                "send value, not linkedEntityKeyValue.",
            ),
            (
                "The field clientId: send linkedKey.",
                Some("clientId"),
                "The field clientId: send linkedEntityKeyValue.",
            ),
            (
                "There is none: the query customFieldSets lists those there are.",
                None,
                "There is none.",
            ),
            ("clientIdentity — clientId", None, "clientIdentity — id"),
        ] {
            assert_eq!(legacy_sentence(domain, about), expected);
        }
    }
}

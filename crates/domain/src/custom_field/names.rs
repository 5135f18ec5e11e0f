//! Checks the ids and keys of submitted definitions.

use async_graphql::MaybeUndefined;

use crate::member::Scalars;
use clientele_core::{
    problem::ProblemCode,
    scalar::{is_key, new_key},
    text::is_blank,
};

/// Checks the id of a definition: 1 to 32 characters. The id of a stored definition is accepted, even if the rules have
/// changed.
pub(crate) fn definition_id(name: &'static str, id: &str, is_stored: bool, member: &mut Scalars<'_>) {
    if is_stored {
        return;
    }
    if is_blank(id) {
        member.refuse(
            ProblemCode::Blank,
            name,
            format!("{name} is required and must not be blank."),
        );
    } else {
        member.fits(name, id, 32);
    }
}

/// Returns the key of a definition: the caller can choose it on creation, and it never changes later.
pub(crate) fn key_of_choice(
    sent: &MaybeUndefined<String>,
    stored: Option<&str>,
    taken: impl Fn(&str) -> bool,
    member: &mut Scalars<'_>,
) -> String {
    let mut refuse = |code, message: &'static str| member.refuse(code, "encodedKey", message);
    // If the key is refused, the checks go on with the key it would otherwise have, so that they report exactly the
    // other problems.
    match (sent.value(), stored) {
        (None, None) => new_key(),
        (None, Some(stored)) => stored.to_owned(),
        (Some(sent), Some(stored)) => {
            if sent != stored {
                refuse(
                    ProblemCode::Invalid,
                    "The key of a definition can't be changed once it exists: leave encodedKey out.",
                );
            }
            stored.to_owned()
        }
        (Some(sent), None) if !is_key(sent) => {
            refuse(
                ProblemCode::Malformed,
                "encodedKey must have 1 to 32 letters and digits.",
            );
            new_key()
        }
        (Some(sent), None) if taken(sent) => {
            refuse(
                ProblemCode::Taken,
                "Another definition has this key: choose another, or leave encodedKey out.",
            );
            new_key()
        }
        (Some(sent), None) => sent.clone(),
    }
}

//! Replaces custom field values that the reader of a message may not see.

use super::{
    placeholder::Placeholder,
    render::{Compiled, Values},
};
use crate::caller::Rights;

/// The text shown instead of a hidden value.
pub(in crate::notify) const HIDDEN: &str = "***";

impl Compiled {
    /// Masks the values that a reader with these rights may not see, even if there is no value. The set of a value is
    /// the one when the message was written: its field may have been created anew in another set. If the set is
    /// unknown, the reader needs the rights to all sets.
    pub fn hide(&self, values: &mut Values, rights: &Rights) {
        if rights.views_all() {
            return;
        }
        for key in self.placeholders() {
            let Some(Placeholder::CustomField(_)) = Placeholder::of_key(key) else {
                continue;
            };
            if !values.get(&origin(key)).is_some_and(|set_id| rights.views(set_id)) {
                values.insert(key.to_owned(), HIDDEN.to_owned());
            }
        }
    }
}

/// Empties the values of sets that a caller with these rights may not view, and those of unknown sets.
pub fn withhold(values: &mut Values, rights: &Rights) {
    if rights.views_all() {
        return;
    }
    let is_hidden = |key: &&String| {
        matches!(Placeholder::of_key(key), Some(Placeholder::CustomField(_)))
            && !values.get(&origin(key)).is_some_and(|set_id| rights.views(set_id))
    };
    let hidden: Vec<String> = values.keys().filter(is_hidden).cloned().collect();
    for key in hidden {
        values.insert(key, String::new());
    }
}

/// The key under which the values hold the id of a value's set. No placeholder has braces in its key.
pub(in crate::notify) fn origin(key: &str) -> String {
    format!("{{{key}}}")
}

//! Replaces custom field values that the reader of a message may not see.

use super::{
    placeholder::Placeholder,
    render::{Compiled, Values},
};
use crate::caller::Rights;

/// What is shown in the place of a value that may not be seen.
pub(in crate::notify) const HIDDEN: &str = "***";

impl Compiled {
    /// Puts asterisks into the place of what somebody with these rights may not see, whether there is a value or not.
    /// It is asked which set the value was of when the message was written: its field may have been created anew in
    /// another since. Where that isn't known, it takes the rights to all sets.
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

/// Empties the values of sets that a caller with these rights may not view, and those of sets that are not known.
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

/// Where the id of the set that a value is of stands beside the value: no placeholder has braces in its key.
pub(in crate::notify) fn origin(key: &str) -> String {
    format!("{{{key}}}")
}

//! What stands in the place of custom field values that whoever reads a message may not see.

use super::{
    placeholder::Placeholder,
    render::{Compiled, Values},
};
use crate::{access::Rights, custom_field::Definitions};

const HIDDEN: &str = "***";

impl Compiled {
    /// Puts asterisks into the place of what somebody with these rights may not see, whether there is a value or not. A
    /// field that is gone can't be told from a hidden one.
    pub fn hide(&self, values: &mut Values, rights: &Rights, definitions: &Definitions) {
        if rights.views_all() {
            return;
        }
        for key in self.placeholders() {
            let Some(Placeholder::CustomField(id)) = Placeholder::of_key(key) else {
                continue;
            };
            if !definitions.field(&id).is_some_and(|field| field.is_shown(rights)) {
                values.insert(key.to_owned(), HIDDEN.to_owned());
            }
        }
    }
}

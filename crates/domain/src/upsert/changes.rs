//! Finds the difference between a stored client and the new one, collection by collection.

use entity::{address, custom_field_value, id_document};

use crate::client::Aggregate;
use crate::upsert::collection::Difference;
use clientele_core::error::Result;
use clientele_storage::db::Batch;

/// The difference of each collection.
pub(super) struct Changes<'a> {
    addresses: Difference<'a, address::Model>,
    id_documents: Difference<'a, id_document::Model>,
    custom_values: Difference<'a, custom_field_value::Model>,
}

impl<'a> Changes<'a> {
    pub(super) fn between(before: Option<&'a Aggregate>, after: &'a Aggregate) -> Self {
        fn stored<'a, M>(
            before: Option<&'a Aggregate>,
            collection: impl Fn(&'a Aggregate) -> &'a Option<Vec<M>>,
        ) -> &'a [M] {
            before
                .and_then(|before| collection(before).as_deref())
                .unwrap_or_default()
        }
        Self {
            addresses: Difference::between(stored(before, |of| &of.addresses), after.addresses.as_deref()),
            id_documents: Difference::between(stored(before, |of| &of.id_documents), after.id_documents.as_deref()),
            custom_values: Difference::between(stored(before, |of| &of.custom_values), after.custom_values.as_deref()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.id_documents.is_empty() && self.custom_values.is_empty()
    }

    /// Adds the differences to the batch, after the client's own row, which they refer to.
    pub(super) fn write(&self, client_key: &str, batch: &mut Batch) -> Result<()> {
        self.addresses.write::<address::Entity>(client_key, batch)?;
        self.id_documents.write::<id_document::Entity>(client_key, batch)?;
        self.custom_values
            .write::<custom_field_value::Entity>(client_key, batch)
    }
}

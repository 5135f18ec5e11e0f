//! What differs between a client as it is stored and as it is to be, collection by collection.

use entity::{address, client, custom_field_value, id_document};

use super::Aggregate;
use crate::{
    client::collection::Difference,
    db::{Batch, Dialect},
    error::Result,
};

/// What differs in each collection.
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

    /// The writes of what differs, and of the client's own row.
    pub(super) fn batch(&self, client: &client::Model, dialect: Dialect) -> Result<Batch> {
        let key = &client.encoded_key;
        let mut batch = Batch::new(dialect);
        batch.put::<client::Entity>(&[client])?;
        self.addresses.write::<address::Entity>(key, &mut batch)?;
        self.id_documents.write::<id_document::Entity>(key, &mut batch)?;
        self.custom_values
            .write::<custom_field_value::Entity>(key, &mut batch)?;
        Ok(batch)
    }
}

//! The rows by which a client is searched and compared with others: computed from the client, and written in the
//! transaction that changes it. Custom field values aren't in them: not every caller may see those.

use std::collections::HashSet;

use entity::{address, client, client_search, id_document, id_document_search};

use super::folding::{FORM, document_number, fold, joined, mailbox, phone, words};
use crate::client::{Aggregate, ClientParts};
use clientele_core::error::{Error, Result};
use clientele_storage::db::Batch;

/// The parts of a client that its rows are computed from.
pub(crate) const SEARCHED: ClientParts = ClientParts {
    addresses: true,
    id_documents: true,
    custom_values: false,
};

/// The folded texts of a client.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SearchRows {
    pub client: client_search::Model,
    pub id_documents: Vec<id_document_search::Model>,
}

impl SearchRows {
    /// A collection that wasn't read counts as empty.
    pub fn of(client: &Aggregate) -> Self {
        let addresses = client.addresses.as_deref().unwrap_or_default();
        let id_documents = client.id_documents.as_deref().unwrap_or_default();
        Self::of_parts(&client.client, addresses.first(), id_documents)
    }

    pub fn of_parts(
        client: &client::Model,
        address: Option<&address::Model>,
        id_documents: &[id_document::Model],
    ) -> Self {
        let documents = id_documents.iter().map(|document| id_document_search::Model {
            client_key: document.client_key.clone(),
            encoded_key: document.encoded_key.clone(),
            document_type: fold(&document.document_type),
            document_id: document_number(&document.document_id),
        });
        let id_documents: Vec<_> = documents.collect();
        let phones = [&client.home_phone, &client.mobile_phone1, &client.mobile_phone2];
        let [home_phone, mobile_phone1, mobile_phone2] = phones.map(|number| phone(number.as_deref()?));
        let numbers = [&home_phone, &mobile_phone1, &mobile_phone2].map(Clone::clone);
        let names = [
            Some(&client.first_name),
            client.middle_name.as_ref(),
            Some(&client.last_name),
        ];
        let of_names: Vec<String> = names.into_iter().flatten().flat_map(|name| words(name)).collect();
        let mailbox = client.email_address.as_deref().map(mailbox).unwrap_or_default();
        let own = [words(mailbox), words(&client.client_id)].concat();
        let of_documents = id_documents.iter().map(|document| document.document_id.clone());
        let has_digits = |word: &String| word.contains(|character: char| character.is_numeric());
        let lettered = own
            .iter()
            .cloned()
            .chain(of_documents.clone())
            .filter(|word| !has_digits(word));
        let lettered = joined(of_names.iter().cloned().chain(lettered));
        let numbers = numbers.into_iter().flatten();
        let text = joined(of_names.iter().cloned().chain(own).chain(numbers).chain(of_documents));
        let folded = |text: &Option<String>| text.as_deref().map(fold);
        let client = client_search::Model {
            client_key: client.encoded_key.clone(),
            first_name: fold(&client.first_name),
            last_name: fold(&client.last_name),
            birth_date: client.birth_date,
            email: folded(&client.email_address),
            home_phone,
            mobile_phone1,
            mobile_phone2,
            city: address.and_then(|address| folded(&address.city)),
            country: address.and_then(|address| folded(&address.country)),
            words: lettered,
            text,
            form: FORM,
        };
        Self { client, id_documents }
    }

    /// Adds the differences between the rows of the stored client and those of the new one to the batch. In the new, a
    /// collection that isn't replaced is `None`.
    ///
    /// # Errors
    /// The rows can differ, and the stored client was read without [`SEARCHED`].
    pub fn write_changes(before: Option<&Aggregate>, after: &Aggregate, batch: &mut Batch) -> Result<()> {
        let Some(before) = before else {
            let rows = Self::of(after);
            batch.put::<client_search::Entity>(&[&rows.client])?;
            return batch.put::<id_document_search::Entity>(&Vec::from_iter(&rows.id_documents));
        };
        let is_replaced = after.addresses.is_some() || after.id_documents.is_some();
        if !is_replaced && own_texts(&before.client) == own_texts(&after.client) {
            return Ok(());
        }
        let (Some(addresses), Some(id_documents)) = (&before.addresses, &before.id_documents) else {
            return Err(Error::defect("a client was read for a change without what is searched"));
        };
        let old = Self::of(before);
        let address = after.addresses.as_ref().unwrap_or(addresses).first();
        let id_documents = after.id_documents.as_ref().unwrap_or(id_documents);
        let new = Self::of_parts(&after.client, address, id_documents);
        if old.client != new.client {
            batch.put_over::<client_search::Entity, 0>(&old.client, &new.client, []);
        }
        let kept: HashSet<&str> = new.id_documents.iter().map(|row| &*row.encoded_key).collect();
        let stored = old.id_documents.iter().map(|row| &*row.encoded_key);
        let removed: Vec<&str> = stored.filter(|key| !kept.contains(key)).collect();
        if !removed.is_empty() {
            batch.delete::<id_document_search::Entity>(&new.client.client_key, &removed)?;
        }
        let written = new.id_documents.iter().filter(|row| !old.id_documents.contains(row));
        batch.put::<id_document_search::Entity>(&Vec::from_iter(written))
    }

    /// The rows of several clients, by table.
    pub fn split(rows: impl Iterator<Item = Self>) -> (Vec<client_search::Model>, Vec<id_document_search::Model>) {
        let (clients, documents): (Vec<_>, Vec<_>) = rows.map(|rows| (rows.client, rows.id_documents)).unzip();
        (clients, documents.into_iter().flatten().collect())
    }
}

/// The columns of a client that its rows are computed from.
fn own_texts(client: &client::Model) -> impl PartialEq {
    (
        [&client.client_id, &client.first_name, &client.last_name],
        [&client.middle_name, &client.email_address],
        [&client.home_phone, &client.mobile_phone1, &client.mobile_phone2],
        client.birth_date,
    )
}

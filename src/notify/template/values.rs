//! What stands in the place of a placeholder, for one client at one time.

use chrono::{DateTime, Utc};
use entity::{client, id_document};

use super::{Template, Variant};
use crate::{
    client::Aggregate,
    custom_field::{Definitions, Field},
    notify::{
        hidden::origin,
        placeholder::{Name, Placeholder},
        render::Values,
    },
};

impl Template {
    /// The values of the placeholders that `variant` has, for a client that was loaded with what is wanted; beside that of
    /// a custom field, which set it is of.
    pub fn values(
        &self,
        variant: &Variant,
        aggregate: &Aggregate,
        definitions: &Definitions,
        now: DateTime<Utc>,
    ) -> Values {
        let mut values = Values::new();
        for key in &variant.keys {
            let value = match Placeholder::of_key(key) {
                Some(Placeholder::Named(name)) => named(name, aggregate, now),
                Some(Placeholder::CustomField(id)) => definitions.field(&id).and_then(|field| {
                    values.insert(origin(key), field.set.set_id.clone());
                    custom(field, aggregate)
                }),
                None => continue,
            };
            values.insert(key.clone(), value.unwrap_or_default());
        }
        values
    }
}

/// The number that text messages to a client go to.
pub fn mobile_phone(client: &client::Model) -> Option<&str> {
    let numbers = [&client.mobile_phone1, &client.mobile_phone2];
    numbers
        .into_iter()
        .filter_map(|number| number.as_deref())
        .find(|number| !number.trim().is_empty())
}

fn named(name: Name, aggregate: &Aggregate, now: DateTime<Utc>) -> Option<String> {
    let client = &aggregate.client;
    let document = || aggregate.id_documents.as_ref()?.first();
    match name {
        Name::ClientName | Name::RecipientName => Some(aggregate.full_name()),
        Name::ClientId => Some(client.client_id.clone()),
        Name::ClientFirstNames => Some(client.first_name.clone()),
        Name::ClientMiddleNames => client.middle_name.clone(),
        Name::ClientLastName => Some(client.last_name.clone()),
        Name::RecipientEmailAddress => client.email_address.clone(),
        Name::RecipientMobilePhone => mobile_phone(client).map(str::to_owned),
        Name::IdDocumentType => document().map(|document| document.document_type.clone()),
        Name::IdDocumentNumber => document().map(|document| document.document_id.clone()),
        Name::IdDocumentIssuingAuthority => document().and_then(|document| document.issuing_authority.clone()),
        Name::IdDocumentExpiryDate => document().and_then(expiry_date),
        Name::CurrentDate => Some(now.format("%Y-%m-%d").to_string()),
        Name::CurrentDateTime => Some(now.format("%Y-%m-%d %H:%M:%S UTC").to_string()),
    }
}

fn expiry_date(document: &id_document::Model) -> Option<String> {
    document.valid_until.map(|day| day.to_string())
}

/// The stored value of the field, or the key of what it links to.
fn custom(field: &Field, aggregate: &Aggregate) -> Option<String> {
    let value = aggregate
        .custom_values
        .iter()
        .flatten()
        .find(|value| value.field_key == field.row.encoded_key)?;
    value.value.clone().or_else(|| value.linked_key.clone())
}

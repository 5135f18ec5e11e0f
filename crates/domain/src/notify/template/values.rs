//! Provides the values of placeholders.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use entity::{client, custom_field_value};

use super::Variant;
use crate::{
    client::Aggregate,
    definitions::Definitions,
    notify::{
        placeholder::{Name, Placeholder},
        render::{Values, set_key},
    },
};
use clientele_core::text::is_blank;

/// The values of placeholders for one client at one time, for any number of templates.
pub struct ValueSource<'a> {
    aggregate: &'a Aggregate,
    definitions: &'a Definitions,
    now: DateTime<Utc>,
    /// The client's custom field values by the keys of their fields.
    by_field: HashMap<&'a str, &'a custom_field_value::Model>,
}

impl<'a> ValueSource<'a> {
    /// `aggregate` must have the collections that the templates need.
    pub fn new(aggregate: &'a Aggregate, definitions: &'a Definitions, now: DateTime<Utc>) -> Self {
        let mut by_field = HashMap::new();
        for value in aggregate.custom_values.iter().flatten() {
            // Of a grouped set, the first group counts.
            let first: &mut &custom_field_value::Model = by_field.entry(&*value.field_key).or_insert(value);
            if value.group_index < first.group_index {
                *first = value;
            }
        }
        Self {
            aggregate,
            definitions,
            now,
            by_field,
        }
    }

    /// Returns the values of the placeholders in `variant`, and for each custom field its set.
    pub fn values(&self, variant: &Variant) -> Values {
        let mut values = Values::new();
        for key in &variant.keys {
            let value = match Placeholder::of_key(key) {
                Some(Placeholder::Named(name)) => named(name, self.aggregate, self.now),
                Some(Placeholder::CustomField(id)) => self.definitions.field(&id).and_then(|field| {
                    values.insert(set_key(key), field.set.set_id.clone());
                    let value = self.by_field.get(&*field.row.encoded_key)?;
                    // The stored value of the field, or the key of what it links to.
                    value.value.clone().or_else(|| value.linked_key.clone())
                }),
                None => continue,
            };
            values.insert(key.clone(), value.unwrap_or_default());
        }
        values
    }
}

/// The recipient of text messages to a client.
pub fn mobile_phone(client: &client::Model) -> Option<&str> {
    let numbers = [&client.mobile_phone1, &client.mobile_phone2].into_iter().flatten();
    numbers.map(String::as_str).find(|number| !is_blank(number))
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
        Name::IdDocumentType => Some(document()?.document_type.clone()),
        Name::IdDocumentNumber => Some(document()?.document_id.clone()),
        Name::IdDocumentIssuingAuthority => document()?.issuing_authority.clone(),
        Name::IdDocumentExpiryDate => document()?.valid_until.map(|day| day.to_string()),
        Name::CurrentDate => Some(now.format("%Y-%m-%d").to_string()),
        Name::CurrentDateTime => Some(now.format("%Y-%m-%d %H:%M:%S UTC").to_string()),
    }
}

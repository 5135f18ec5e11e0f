//! Short ways to define custom fields.

use async_graphql::MaybeUndefined::Value;
use clientele::{
    caller::Caller,
    custom_field::{CustomFieldInput, CustomFieldOptionInput, CustomFieldSetInput, UpsertCustomFieldSet},
    definitions::Kind,
    problem::Problem,
};

use super::TestServer;

/// A field whose key is its id followed by `Key`, so that answers can be written down.
pub fn field(id: &str, kind: Kind) -> CustomFieldInput {
    CustomFieldInput {
        field_id: id.to_owned(),
        encoded_key: Value(format!("{id}Key")),
        name: Value(format!("The {id}")),
        kind: Some(kind),
        ..CustomFieldInput::default()
    }
}

/// The options of a selection.
pub fn options(values: &[&str]) -> async_graphql::MaybeUndefined<Vec<CustomFieldOptionInput>> {
    Value(
        values
            .iter()
            .map(|value| CustomFieldOptionInput {
                value: (*value).to_owned(),
                ..CustomFieldOptionInput::default()
            })
            .collect(),
    )
}

impl TestServer {
    /// Makes `fields` the fields of the set `facts`.
    pub async fn define(&self, fields: Vec<CustomFieldInput>) {
        self.try_define(fields).await.expect("the definitions are sound");
    }

    pub async fn try_define(&self, fields: Vec<CustomFieldInput>) -> Result<(), Vec<Problem>> {
        self.define_set("facts", fields).await
    }

    /// Makes `fields` the fields of the set with this id, whose key is the id followed by `Key`.
    pub async fn define_set(&self, set: &str, fields: Vec<CustomFieldInput>) -> Result<(), Vec<Problem>> {
        let input = UpsertCustomFieldSet {
            set: CustomFieldSetInput {
                set_id: set.to_owned(),
                encoded_key: Value(format!("{set}Key")),
                name: Value(format!("The {set}")),
                ..CustomFieldSetInput::default()
            },
            fields: Value(fields),
            client_mutation_id: None,
        };
        self.services
            .custom_fields
            .upsert_set(&Caller::operator(), &input, std::time::SystemTime::now().into())
            .await
            .expect("the database answers")
            .map(|_| ())
    }
}

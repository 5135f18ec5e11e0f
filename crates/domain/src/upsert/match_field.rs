//! Finds the client to change by its value of a unique custom field.

use std::borrow::Cow;

use async_graphql::MaybeUndefined;

use super::{CustomFieldMatchInput, CustomFieldValueInput, Upsert, UpsertClient};
use crate::definitions::{Definitions, Field};
use clientele_core::{
    error::Result,
    path,
    problem::{Message, Problem, ProblemCode, Step},
};
use clientele_storage::db::Transaction;

pub(super) const MEMBER: &str = "matchCustomField";

/// Selects the client with a value, even if it doesn't exist for the caller.
pub(super) const HOLDER: &str = "SELECT client_key FROM custom_field_claim WHERE field_key = $1 AND value = $2";

impl Upsert<'_> {
    /// Returns the field and the comparable form of the value that the client must have; none if the submission doesn't
    /// name its client in this way.
    ///
    /// # Errors
    /// The problem of a value that can't name a client. It doesn't depend on the values of clients.
    pub(super) fn matched<'a>(&self, definitions: &'a Definitions) -> Result<Option<(&'a Field, String)>, Problem> {
        let Some(CustomFieldMatchInput { field_id, value }) = &self.input.match_custom_field else {
            return Ok(None);
        };
        let refuse = |code, member, message: Message| Err(Problem::new(code, path![MEMBER, member], message));
        let Some(field) = definitions.field(field_id) else {
            let message = Message::from("There is no custom field with this id").listed_by("customFieldSets");
            return refuse(ProblemCode::NotFound, "fieldId", message);
        };
        if !field.is_editable(&self.caller.rights) {
            let message = "You may not change values of this field, nor find clients by them.";
            return refuse(ProblemCode::Forbidden, "fieldId", message.into());
        }
        if !field.row.is_unique || field.is_grouped() {
            let message = "Only a unique field of a SINGLE set can name a client.";
            return refuse(ProblemCode::Invalid, "fieldId", message.into());
        }
        // A client keeps its value when the field's own rules change, and is still named by it.
        match field.canonical(value) {
            Ok(value) if !value.is_empty() => Ok(Some((field, field.kind.comparable(&value)))),
            Ok(_) => refuse(
                ProblemCode::Blank,
                "value",
                Message::of_member("value", " must not be empty."),
            ),
            Err((code, message)) => refuse(code, "value", message.into()),
        }
    }

    /// Returns the key of the client with this value; none if it doesn't exist for the caller.
    pub(super) async fn holder(
        &self,
        (field, value): (&Field, &str),
        transaction: &Transaction,
    ) -> Result<Option<String>> {
        let mut values = vec![field.row.encoded_key.as_str().into(), value.into()];
        let limit = self.caller.rights.and_limit(transaction.dialect, "c", &mut values);
        let sql = match limit.is_empty() {
            true => HOLDER.to_owned(),
            false => format!("SELECT c.encoded_key FROM client c WHERE c.encoded_key = ({HOLDER}){limit}"),
        };
        let row = transaction.one(sql, values).await?;
        Ok(row.map(|row| row.try_get_by_index(0)).transpose()?)
    }
}

impl UpsertClient {
    /// The submission with the value that names its client, which belongs to a list that doesn't name the field: sent
    /// again, the same list must find the same client. A client without a list gets the value if it is new.
    pub(super) fn with_matched(&self, field: &Field, is_change: bool) -> Cow<'_, Self> {
        let values = self.custom_information.value();
        let is_sent = values.is_some_and(|values| values.iter().any(|value| value.field_id == field.row.field_id));
        let has_no_list = self.custom_information.is_null() || (is_change && values.is_none());
        let (Some(matched), false) = (&self.match_custom_field, is_sent || has_no_list) else {
            return Cow::Borrowed(self);
        };
        // The stored value stays in its own form.
        let value = match is_change {
            true => MaybeUndefined::Undefined,
            false => MaybeUndefined::Value(matched.value.clone()),
        };
        let mut value = CustomFieldValueInput {
            field_id: matched.field_id.clone(),
            value,
            ..CustomFieldValueInput::default()
        };
        if field.kind.is_link() {
            value.linked_key = std::mem::take(&mut value.value);
        }
        let mut input = self.clone();
        let mut values = input.custom_information.take().unwrap_or_default();
        values.push(value);
        input.custom_information = MaybeUndefined::Value(values);
        Cow::Owned(input)
    }

    /// Reports the problems of the value that [`Self::with_matched`] adds where the caller has sent it.
    pub(super) fn at_matched(&self, mut problems: Vec<Problem>) -> Vec<Problem> {
        let count = self.custom_information.value().map_or(0, Vec::len);
        for problem in &mut problems {
            if let [Step::Name("customInformation"), Step::Index(index), ..] = *problem.path
                && index >= count
            {
                problem.path = path![MEMBER, "value"].to_vec();
            }
        }
        problems
    }
}

//! Filters a list of clients. All members of a filter must match.

use async_graphql::InputObject;
use sea_orm::Value;

use crate::{caller::Rights, definitions::Definitions, enums::ClientState};
use clientele_core::{
    path,
    problem::{Message, Problem, ProblemCode},
    scalar::Date,
};
use clientele_storage::{
    db::Dialect,
    paging::{Conditions, DateTimeRange},
};

/// Limits a list of clients: all given fields must match. Text is compared exactly, by code point.
#[derive(InputObject, Clone, Debug, Default)]
pub struct ClientFilter {
    /// Clients in one of these states.
    pub states: Option<Vec<ClientState>>,
    /// Clients whose first name begins with this text.
    pub first_name_starts_with: Option<String>,
    /// Clients whose last name begins with this text.
    pub last_name_starts_with: Option<String>,
    /// Clients born on this day.
    pub birth_date: Option<Date>,
    /// Clients with this e-mail address.
    pub email_address: Option<String>,
    /// Clients with this home or mobile phone number, written as it is stored.
    pub phone: Option<String>,
    /// Clients with an identification document of this number.
    pub document_id: Option<String>,
    /// Clients with this value for a custom field. You must be allowed to view its values.
    pub custom_field: Option<CustomFieldFilter>,
    /// Clients created in this range of time.
    pub created_at: Option<DateTimeRange>,
    /// Clients last changed in this range of time.
    pub updated_at: Option<DateTimeRange>,
    /// Conditions that only the legacy route has.
    #[graphql(skip)]
    pub exactly: Exactly,
}

/// A value of a custom field.
#[derive(InputObject, Clone, Debug)]
pub struct CustomFieldFilter {
    /// The ID of the custom field.
    pub field_id: String,
    /// The value in its stored form; for a link, the key of the linked object.
    pub value: String,
}

/// Members that must have exactly these values.
#[derive(Clone, Debug, Default)]
pub struct Exactly {
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub assigned_branch_key: Option<String>,
    pub assigned_centre_key: Option<String>,
    pub assigned_user_key: Option<String>,
}

/// Adds the condition of texts that begin with `prefix`: a range, so that an index serves it.
fn prefix(conditions: &mut Conditions, column: &str, prefix: Option<&String>) {
    conditions.text(prefix, |placeholder| format!("{column} >= {placeholder}"));
    let end = prefix.and_then(|prefix| end_of_prefix(prefix));
    conditions.text(end.as_ref(), |placeholder| format!("{column} < {placeholder}"));
}

/// Adds the condition of clients with this value. SQLite reads all clients of an `IN` first. So if the value is common,
/// clients are checked one by one: a page, or a count, then ends early.
pub(super) fn with_custom_value(conditions: &mut Conditions, field_key: &str, value: &str, is_common: bool) {
    // The key is bound only with the value: PostgreSQL rejects a parameter that the statement doesn't use.
    if value.contains('\0') {
        conditions.push("FALSE".to_owned());
        return;
    }
    if is_common && conditions.dialect == Dialect::Sqlite {
        let (field_key, value) = (conditions.bind(field_key), conditions.bind(value));
        conditions.push(format!(
            "EXISTS (SELECT 1 FROM custom_field_value v WHERE v.client_key = c.encoded_key \
             AND v.field_key = {field_key} AND coalesce(v.value, v.linked_key) = {value})"
        ));
        return;
    }
    let value = custom_value(conditions, field_key, value);
    conditions.push(format!("c.encoded_key IN (SELECT client_key FROM {value})"));
}

/// Selects the rows with this value of a custom field, in the form that the index serves.
fn custom_value(conditions: &mut Conditions, field_key: &str, value: &str) -> String {
    let (field_key, value) = (conditions.bind(field_key), conditions.bind(value));
    let value = conditions.dialect.cast(&value, "text");
    // The index has the beginning of the value.
    format!(
        "custom_field_value WHERE field_key = {field_key} \
         AND substr(coalesce(value, linked_key), 1, 100) = substr({value}, 1, 100) \
         AND coalesce(value, linked_key) = {value}"
    )
}

impl ClientFilter {
    /// Refuses a filter on a field whose values the caller may not see.
    pub(super) fn forbidden(&self, rights: &Rights, definitions: &Definitions) -> Option<Problem> {
        let field = definitions.field(&self.custom_field.as_ref()?.field_id)?;
        let message = "You may not see the values of this custom field, nor look clients up by them.";
        (!field.is_shown(rights)).then(|| {
            Problem::new(
                ProblemCode::Forbidden,
                path!["filter", "customField", "fieldId"],
                message,
            )
        })
    }

    /// Selects the rows with the value of the custom field, with the bound values; none for a value that can't be
    /// stored.
    pub(super) fn custom_values(&self, dialect: Dialect, definitions: &Definitions) -> Option<(String, Vec<Value>)> {
        let CustomFieldFilter { field_id, value } = self.custom_field.as_ref()?;
        let field = definitions.field(field_id).filter(|_| !value.contains('\0'))?;
        let mut conditions = Conditions::new(dialect);
        let rows = custom_value(&mut conditions, &field.row.encoded_key, value);
        Some((rows, conditions.values))
    }

    /// `definitions` are needed for a condition on a custom field. Its value is common if more rows have it than a
    /// count examines.
    pub(super) fn conditions(
        &self,
        dialect: Dialect,
        definitions: Option<&Definitions>,
        is_common: bool,
    ) -> Result<Conditions, Problem> {
        let Self {
            states,
            first_name_starts_with,
            last_name_starts_with,
            birth_date,
            email_address,
            phone,
            document_id,
            custom_field,
            created_at,
            updated_at,
            exactly:
                Exactly {
                    first_name,
                    last_name,
                    assigned_branch_key,
                    assigned_centre_key,
                    assigned_user_key,
                },
        } = self;
        let mut conditions = Conditions::new(dialect);
        if let Some(states) = states {
            let states = serde_json::to_string(states).expect("states are texts");
            let placeholder = conditions.bind(states);
            conditions.push(dialect.is_one_of("c.state", &placeholder));
        }
        prefix(&mut conditions, "c.first_name", first_name_starts_with.as_ref());
        prefix(&mut conditions, "c.last_name", last_name_starts_with.as_ref());
        if let Some(Date(date)) = birth_date {
            let placeholder = conditions.bind(date.to_string());
            conditions.push(format!("c.birth_date = {}", dialect.cast(&placeholder, "date")));
        }
        for (column, text) in [
            ("c.email_address", email_address),
            ("c.first_name", first_name),
            ("c.last_name", last_name),
            ("c.assigned_branch_key", assigned_branch_key),
            ("c.assigned_centre_key", assigned_centre_key),
            ("c.assigned_user_key", assigned_user_key),
        ] {
            conditions.text(text.as_ref(), |placeholder| format!("{column} = {placeholder}"));
        }
        conditions.text(phone.as_ref(), |placeholder| {
            format!(
                "(c.mobile_phone1 = {placeholder} OR c.mobile_phone2 = {placeholder} OR c.home_phone = {placeholder})"
            )
        });
        conditions.text(document_id.as_ref(), |placeholder| {
            format!("c.encoded_key IN (SELECT client_key FROM id_document WHERE document_id = {placeholder})")
        });
        if let Some(CustomFieldFilter { field_id, value }) = custom_field {
            let Some(field) = definitions.and_then(|definitions| definitions.field(field_id)) else {
                let message = Message::from("There is no custom field with this id").listed_by("customFieldSets");
                return Err(Problem::new(
                    ProblemCode::NotFound,
                    path!["filter", "customField", "fieldId"],
                    message,
                ));
            };
            with_custom_value(&mut conditions, &field.row.encoded_key, value, is_common);
        }
        conditions.range("c.created_at", *created_at);
        conditions.range("c.updated_at", *updated_at);
        Ok(conditions)
    }
}

/// Returns the smallest text that is greater than all that begin with `prefix`; none if there is no such text.
pub(super) fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // Surrogates aren't characters: U+E000 follows U+D7FF.
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            last => char::from_u32(u32::from(last) + 1),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::end_of_prefix;

    #[test]
    fn a_prefix_ends_before_the_next_character() {
        for (prefix, end) in [
            ("Ab", Some("Ac")),
            ("A\u{D7FF}", Some("A\u{E000}")),
            ("A\u{10FFFF}", Some("B")),
            ("\u{10FFFF}", None),
            ("", None),
        ] {
            assert_eq!(end_of_prefix(prefix).as_deref(), end, "{prefix:?}");
        }
    }
}

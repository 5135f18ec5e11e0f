//! The conditions of a filter as SQL on the client `c`.

use super::{ClientFilter, DateRange, Exactly, NameFilter, NumberRange, ValueFilter};
use crate::{
    client::search::{
        constraint::number::Number,
        folding::fold,
        other_table::{IsCommon, OtherRows, with_rows},
        prefix::{begins, with_prefix},
    },
    definitions::{Definitions, Field},
};
use clientele_core::scalar::{Date, Decimal};
use clientele_storage::{db::Dialect, paging::Conditions};

/// Adds the condition that a client has a number in this range.
fn with_number(conditions: &mut Conditions, field_key: &str, NumberRange { from, to }: &NumberRange) {
    let field_key = conditions.bind(field_key);
    let value = "coalesce(v.value, v.linked_key)";
    let mut terms = vec![format!("v.client_key = c.encoded_key AND v.field_key = {field_key}")];
    let number = |bound: &Option<Decimal>| bound.as_ref().and_then(|Decimal(text)| Number::parse(text));
    if let Some(from) = number(from) {
        terms.push(format!("NOT {}", from.bind(conditions).less(value)));
    }
    if let Some(to) = number(to) {
        terms.push(format!("NOT {}", to.bind(conditions).greater(value)));
    }
    let terms = terms.join(" AND ");
    conditions.push(format!("EXISTS (SELECT 1 FROM custom_field_value v WHERE {terms})"));
}

/// Adds the condition that a client has a date in this range, which is a range of the index.
fn with_date(conditions: &mut Conditions, field_key: &str, DateRange { from, to }: &DateRange) {
    let field_key = conditions.bind(field_key);
    let mut terms = vec![format!("field_key = {field_key}")];
    for (sign, bound) in [(">=", from), ("<=", to)] {
        let Some(Date(day)) = bound else { continue };
        let day = conditions.bind(day.to_string());
        terms.push(format!("substr(coalesce(value, linked_key), 1, 100) {sign} {day}"));
    }
    let terms = terms.join(" AND ");
    conditions.push(format!(
        "c.encoded_key IN (SELECT client_key FROM custom_field_value WHERE {terms})"
    ));
}

/// The rows of folded names that match; none for a text that can't be stored.
fn named(column: &str, name: &NameFilter, conditions: &mut Conditions) -> Option<OtherRows> {
    let condition = match name {
        NameFilter::Equals(text) | NameFilter::StartsWith(text) if text.contains('\0') => return None,
        NameFilter::Equals(text) => format!("{column} = {}", conditions.bind(fold(text))),
        NameFilter::StartsWith(text) => begins(column, &fold(text), conditions),
    };
    Some(OtherRows::of_folded(condition))
}

/// The condition that a column has this text; none for a text that can't be stored.
fn equals(column: &str, text: &str, conditions: &mut Conditions) -> Option<String> {
    (!text.contains('\0')).then(|| format!("{column} = {}", conditions.bind(text)))
}

/// The rows with a value of a custom field, which can be written as in an input. One that the field can't have is found
/// as it was stored, before a change of the field.
fn valued(field: &Field, value: &str, conditions: &mut Conditions) -> Option<OtherRows> {
    let canonical = field.canonical(value);
    let value = canonical.as_deref().unwrap_or(value);
    OtherRows::of_custom_value(conditions, &field.row.encoded_key, value, !field.is_grouped())
}

impl ClientFilter {
    /// The conditions of a filter without [problems](Self::problem). `definitions` are needed for custom fields and
    /// roles.
    pub(in crate::client::search) fn conditions(
        &self,
        dialect: Dialect,
        definitions: Option<&Definitions>,
        is_common: &mut IsCommon<'_>,
    ) -> Conditions {
        let mut conditions = Conditions::new(dialect);
        self.add(&mut conditions, definitions, is_common);
        conditions
    }

    fn add(&self, conditions: &mut Conditions, definitions: Option<&Definitions>, is_common: &mut IsCommon<'_>) {
        let Self {
            states,
            first_name_starts_with,
            last_name_starts_with,
            first_name,
            last_name,
            birth_date,
            born,
            email_address,
            email,
            phone,
            document_id,
            city,
            country,
            client_role_id,
            assigned_branch_key,
            assigned_centre_key,
            assigned_user_key,
            custom_field,
            custom_fields,
            created_at,
            updated_at,
            and,
            or,
            not,
            exactly,
        } = self;
        let dialect = conditions.dialect;
        if let Some(states) = states {
            let states = serde_json::to_string(states).expect("states are texts");
            let placeholder = conditions.bind(states);
            conditions.push(dialect.is_one_of("c.state", &placeholder));
        }
        with_prefix(conditions, "c.first_name", first_name_starts_with.as_ref());
        with_prefix(conditions, "c.last_name", last_name_starts_with.as_ref());
        for (column, name) in [("first_name", first_name), ("last_name", last_name)] {
            let Some(name) = name else { continue };
            let rows = named(column, name, conditions);
            with_rows(conditions, rows, is_common);
        }
        let (from, to) = born.map_or((None, None), |DateRange { from, to }| (from, to));
        for (sign, day) in [("=", *birth_date), (">=", from), ("<=", to)] {
            let Some(Date(day)) = day else { continue };
            let placeholder = conditions.bind(day.to_string());
            conditions.push(format!("c.birth_date {sign} {}", dialect.cast(&placeholder, "date")));
        }
        let Exactly { first_name, last_name } = exactly;
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
        for (column, text) in [("email", email), ("city", city), ("country", country)] {
            let Some(text) = text else { continue };
            // Folding keeps a character that can't be stored, so that no client matches.
            let rows = equals(column, &fold(text), conditions).map(OtherRows::of_folded);
            with_rows(conditions, rows, is_common);
        }
        conditions.text(phone.as_ref(), |placeholder| {
            format!(
                "(c.mobile_phone1 = {placeholder} OR c.mobile_phone2 = {placeholder} OR c.home_phone = {placeholder})"
            )
        });
        if let Some(number) = document_id {
            let rows = equals("document_id", number, conditions).map(|holds| OtherRows::new("id_document", holds));
            with_rows(conditions, rows, is_common);
        }
        if let Some(id) = client_role_id {
            let mut roles = definitions.into_iter().flat_map(|definitions| &definitions.roles);
            let role = roles.find(|role| role.role_id == *id);
            let key = role.map(|role| role.encoded_key.clone());
            conditions.text(key.as_ref(), |placeholder| format!("c.client_role_key = {placeholder}"));
        }
        let field = |id: &str| definitions.and_then(|definitions| definitions.field(id));
        if let Some((field, value)) = custom_field
            .as_ref()
            .and_then(|filter| field(&filter.field_id).zip(Some(&filter.value)))
        {
            let rows = valued(field, value, conditions);
            with_rows(conditions, rows, is_common);
        }
        for condition in custom_fields.iter().flatten() {
            let Some(field) = field(&condition.field_id) else {
                continue;
            };
            let key = &field.row.encoded_key;
            match &condition.value {
                ValueFilter::Equals(value) => {
                    let rows = valued(field, value, conditions);
                    with_rows(conditions, rows, is_common);
                }
                ValueFilter::Numbers(range) => with_number(conditions, key, range),
                ValueFilter::Dates(range) => with_date(conditions, key, range),
            }
        }
        conditions.range("c.created_at", *created_at);
        conditions.range("c.updated_at", *updated_at);
        for filter in and.iter().flatten() {
            filter.add(conditions, definitions, is_common);
        }
        let mut nested = |filter: &Self| conditions.nested(|inner| filter.add(inner, definitions, &mut |_| false));
        let alternatives: Option<Vec<String>> = or.as_ref().map(|filters| filters.iter().map(&mut nested).collect());
        let excluded = not.as_deref().map(nested);
        if let Some(alternatives) = alternatives {
            conditions.push(match alternatives.is_empty() {
                true => "FALSE".to_owned(),
                false => format!("({})", alternatives.join(" OR ")),
            });
        }
        if let Some(excluded) = excluded {
            // A condition on a member without a value is NULL, neither true nor false.
            conditions.push(format!("{excluded} IS NOT TRUE"));
        }
    }
}

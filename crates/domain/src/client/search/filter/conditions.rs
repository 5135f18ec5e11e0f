//! The conditions of a filter as SQL on the client `c`.

use sea_orm::Value;

use super::{ClientFilter, CustomFieldFilter, DateRange, Exactly, NameFilter, NumberRange, ValueFilter};
use crate::{
    client::search::{
        constraint::number::Number,
        custom_value::{custom_value, with_custom_value},
        folding::fold,
        prefix::{begins, with_prefix},
    },
    definitions::Definitions,
};
use clientele_core::scalar::{Date, Decimal};
use clientele_storage::{db::Dialect, paging::Conditions};

/// Adds the condition of clients with a number of this range.
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

/// Adds the condition of clients with a date of this range: a range of the index.
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

/// Adds the condition of clients whose folded name matches.
fn with_name(conditions: &mut Conditions, column: &str, name: Option<&NameFilter>) {
    let condition = match name {
        None => return,
        Some(NameFilter::Equals(text) | NameFilter::StartsWith(text)) if text.contains('\0') => {
            conditions.push("FALSE".to_owned());
            return;
        }
        Some(NameFilter::Equals(text)) => format!("{column} = {}", conditions.bind(fold(text))),
        Some(NameFilter::StartsWith(text)) => begins(column, &fold(text), conditions),
    };
    conditions.push(of_folded(&condition));
}

/// The condition that the folded texts of the client meet this one.
fn of_folded(condition: &str) -> String {
    format!("c.encoded_key IN (SELECT client_key FROM client_search WHERE {condition})")
}

impl ClientFilter {
    /// Selects the rows with the value of the custom field, with the bound values; none for a value that can't be
    /// stored.
    pub(in crate::client::search) fn custom_values(
        &self,
        dialect: Dialect,
        definitions: &Definitions,
    ) -> Option<(String, Vec<Value>)> {
        let CustomFieldFilter { field_id, value } = self.custom_field.as_ref()?;
        let field = definitions.field(field_id).filter(|_| !value.contains('\0'))?;
        let mut conditions = Conditions::new(dialect);
        let rows = custom_value(&mut conditions, &field.row.encoded_key, value);
        Some((rows, conditions.values))
    }

    /// The conditions of a filter without [problems](Self::problem). `definitions` are needed for custom fields and
    /// roles. The value of `customField` is common if more rows have it than a count examines.
    pub(in crate::client::search) fn conditions(
        &self,
        dialect: Dialect,
        definitions: Option<&Definitions>,
        is_common: bool,
    ) -> Conditions {
        let mut conditions = Conditions::new(dialect);
        self.add(&mut conditions, definitions, is_common);
        conditions
    }

    fn add(&self, conditions: &mut Conditions, definitions: Option<&Definitions>, is_common: bool) {
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
        with_name(conditions, "first_name", first_name.as_ref());
        with_name(conditions, "last_name", last_name.as_ref());
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
            // A character that can't be stored stays, so that nothing is found.
            let folded = text.as_deref().map(fold);
            conditions.text(folded.as_ref(), |placeholder| {
                of_folded(&format!("{column} = {placeholder}"))
            });
        }
        conditions.text(phone.as_ref(), |placeholder| {
            format!(
                "(c.mobile_phone1 = {placeholder} OR c.mobile_phone2 = {placeholder} OR c.home_phone = {placeholder})"
            )
        });
        conditions.text(document_id.as_ref(), |placeholder| {
            format!("c.encoded_key IN (SELECT client_key FROM id_document WHERE document_id = {placeholder})")
        });
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
            with_custom_value(conditions, &field.row.encoded_key, value, is_common);
        }
        for condition in custom_fields.iter().flatten() {
            let Some(field) = field(&condition.field_id) else {
                continue;
            };
            let key = &field.row.encoded_key;
            match &condition.value {
                ValueFilter::Equals(value) => with_custom_value(conditions, key, value, false),
                ValueFilter::Numbers(range) => with_number(conditions, key, range),
                ValueFilter::Dates(range) => with_date(conditions, key, range),
            }
        }
        conditions.range("c.created_at", *created_at);
        conditions.range("c.updated_at", *updated_at);
        for filter in and.iter().flatten() {
            filter.add(conditions, definitions, false);
        }
        let mut nested = |filter: &Self| conditions.nested(|inner| filter.add(inner, definitions, false));
        let alternatives: Option<Vec<String>> = or.as_ref().map(|filters| filters.iter().map(&mut nested).collect());
        let excluded = not.as_deref().map(nested);
        if let Some(alternatives) = alternatives {
            conditions.push(match alternatives.is_empty() {
                true => "FALSE".to_owned(),
                false => format!("({})", alternatives.join(" OR ")),
            });
        }
        if let Some(excluded) = excluded {
            // A condition on a member without a value isn't true, and not false either.
            conditions.push(format!("{excluded} IS NOT TRUE"));
        }
    }
}

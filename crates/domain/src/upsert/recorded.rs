//! The audit record of a change to a client: the members that differ, under their GraphQL names.
//!
//! The key, the version and the timestamps are left out: they follow from the record itself.

use std::collections::{BTreeSet, HashMap};

use entity::{address, client, custom_field_value, id_document};
use sea_orm::{ColumnTrait, ColumnType, IdenStatic, Iterable};

use crate::client::Aggregate;
use crate::{
    audit::{Member, Members},
    definitions::{Definitions, NO_GROUP},
};

/// Returns the members in which `after` differs from `before`; all members of a new client. A collection that is none
/// in `after` wasn't replaced.
pub(super) fn members(before: Option<&Aggregate>, after: &Aggregate, definitions: &Definitions) -> Vec<Member> {
    fn rows<M>(before: Option<&Aggregate>, of: impl Fn(&Aggregate) -> &Option<Vec<M>>) -> &[M] {
        before.and_then(|before| of(before).as_deref()).unwrap_or_default()
    }
    let mut found = Vec::new();
    Members::new(&mut found).columns(before.map(|before| &before.client), Some(&after.client), own_columns());
    let (addresses, documents) = (rows(before, |of| &of.addresses), rows(before, |of| &of.id_documents));
    each(addresses, after.addresses.as_deref(), |before, after, key| {
        let columns = of_member(address::Column::Position);
        Members::below(&mut found, &["addresses", key]).columns(before, after, columns);
    });
    each(documents, after.id_documents.as_deref(), |before, after, key| {
        let columns = of_member(id_document::Column::Position);
        Members::below(&mut found, &["idDocuments", key]).columns(before, after, columns);
    });
    let values = rows(before, |of| &of.custom_values);
    each(values, after.custom_values.as_deref(), |before, after, _| {
        custom_value(before, after, definitions, &mut found);
    });
    found
}

/// Calls `member` with both states of each member that differs, in the order of the new state, then of the old one.
fn each<'a, M: entity::Member>(
    before: &'a [M],
    after: Option<&'a [M]>,
    mut member: impl FnMut(Option<&'a M>, Option<&'a M>, &str),
) {
    let Some(after) = after else { return };
    let stored: HashMap<&str, &M> = before.iter().map(|row| (row.encoded_key(), row)).collect();
    let kept: BTreeSet<&str> = after.iter().map(M::encoded_key).collect();
    for row in after {
        let stored = stored.get(row.encoded_key()).copied();
        if stored != Some(row) {
            member(stored, Some(row), row.encoded_key());
        }
    }
    for row in before.iter().filter(|row| !kept.contains(row.encoded_key())) {
        member(Some(row), None, row.encoded_key());
    }
}

/// The columns of a client that are recorded, in the order of earlier versions: required members, optional texts, dates.
fn own_columns() -> Vec<client::Column> {
    use client::Column::{CreatedAt, EncodedKey, UpdatedAt, Version};
    let is_own = |column: &client::Column| !matches!(column, EncodedKey | Version | CreatedAt | UpdatedAt);
    let mut columns: Vec<_> = client::Column::iter().filter(is_own).collect();
    columns.sort_by_key(|column| {
        let column = column.def();
        (
            column.is_null(),
            !matches!(column.get_column_type(), ColumnType::String(_)),
        )
    });
    columns
}

/// The columns of a member that are recorded: all but its primary key, and its position in the list last.
fn of_member<C: Iterable + IdenStatic>(position: C) -> impl Iterator<Item = C> {
    let is_own = |column: &C| !["client_key", "encoded_key", "position"].contains(&column.as_str());
    C::iter().filter(is_own).chain([position])
}

/// Values are identified by the field's id and the position in its group, as in submissions.
fn custom_value(
    before: Option<&custom_field_value::Model>,
    after: Option<&custom_field_value::Model>,
    definitions: &Definitions,
    found: &mut Vec<Member>,
) {
    let Some(row) = after.or(before) else { return };
    let field = definitions.field_of_key(&row.field_key);
    let id = field.map_or(row.field_key.as_str(), |field| &field.row.field_id);
    let mut members = Members::below(found, &["customInformation", id]);
    if row.group_index != NO_GROUP {
        members.scope.push(row.group_index.to_string());
    }
    members.set = field.map(|field| field.set.set_id.clone());
    use custom_field_value::Column::{LinkedKey, Position, Value};
    members.columns(before, after, [Value, LinkedKey, Position]);
}

#[cfg(test)]
mod tests {
    use sea_orm::IdenStatic;

    use super::own_columns;

    #[test]
    fn columns_of_a_client_keep_their_order() {
        let columns = own_columns();
        let names: Vec<&str> = columns.iter().map(|column| column.as_str()).collect();
        let required = "client_id state first_name last_name preferred_language client_role_key";
        let texts = "middle_name gender email_address home_phone mobile_phone1 mobile_phone2 notes assigned_branch_key \
            assigned_centre_key assigned_user_key";
        let dates = "birth_date approved_at activated_at closed_at";
        assert_eq!(names.join(" "), [required, texts, dates].join(" "));
    }
}

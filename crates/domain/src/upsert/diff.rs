//! The difference between a stored client and the new one: what to write, and what the audit log records.

use std::collections::{HashMap, HashSet};

use entity::{Collection, Member, address, client, custom_field_value, id_document};
use sea_orm::{ColumnTrait, ColumnType, IdenStatic, Iterable};

use crate::{
    audit,
    client::Aggregate,
    definitions::{Definitions, NO_GROUP},
};
use clientele_core::error::Result;
use clientele_storage::db::Batch;

/// The changes that turn a stored client into the new one. None is a client that doesn't exist.
pub(crate) struct ClientDiff<'a> {
    before: Option<&'a client::Model>,
    after: Option<&'a client::Model>,
    addresses: CollectionDiff<'a, address::Model>,
    id_documents: CollectionDiff<'a, id_document::Model>,
    custom_values: CollectionDiff<'a, custom_field_value::Model>,
}

impl<'a> ClientDiff<'a> {
    pub(super) fn between(before: Option<&'a Aggregate>, after: &'a Aggregate) -> Self {
        Self {
            before: before.map(|before| &before.client),
            after: Some(&after.client),
            addresses: CollectionDiff::between(before.and_then(|of| of.addresses.as_ref()), after.addresses.as_ref()),
            id_documents: CollectionDiff::between(
                before.and_then(|of| of.id_documents.as_ref()),
                after.id_documents.as_ref(),
            ),
            custom_values: CollectionDiff::between(
                before.and_then(|of| of.custom_values.as_ref()),
                after.custom_values.as_ref(),
            ),
        }
    }

    /// The deletion of a client that was read with all collections.
    pub(crate) fn deletion(before: &'a Aggregate) -> Self {
        Self {
            before: Some(&before.client),
            after: None,
            addresses: CollectionDiff::removal(before.addresses.as_ref()),
            id_documents: CollectionDiff::removal(before.id_documents.as_ref()),
            custom_values: CollectionDiff::removal(before.custom_values.as_ref()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.before == self.after && self.collections_are_equal()
    }

    /// Returns true if the state of an existing client differs.
    pub(super) fn changes_state(&self) -> bool {
        let states = self.before.zip(self.after);
        states.is_some_and(|(before, after)| before.state != after.state)
    }

    /// Returns true if the client has been merged into another one.
    pub(super) fn is_merged(&self) -> bool {
        let merged = self.before.zip(self.after);
        merged.is_some_and(|(before, after)| before.merged_into_key.is_none() && after.merged_into_key.is_some())
    }

    /// Returns true if more than the state, its dates and the reference of a merged client differs.
    pub(super) fn exceeds_state(&self) -> bool {
        let is_in_row = match (self.before, self.after) {
            (Some(before), Some(after)) if before.state != after.state => {
                let after = client::Model {
                    state: before.state.clone(),
                    approved_at: before.approved_at,
                    activated_at: before.activated_at,
                    closed_at: before.closed_at,
                    merged_into_key: before.merged_into_key.clone(),
                    ..after.clone()
                };
                after != *before
            }
            (before, after) => before != after,
        };
        is_in_row || !self.collections_are_equal()
    }

    fn collections_are_equal(&self) -> bool {
        self.addresses.is_empty() && self.id_documents.is_empty() && self.custom_values.is_empty()
    }

    /// Adds the differences of the collections to the batch, after the client's own row, which they refer to.
    pub(super) fn write(&self, client_key: &str, batch: &mut Batch) -> Result<()> {
        self.addresses.write::<address::Entity>(client_key, batch)?;
        self.id_documents.write::<id_document::Entity>(client_key, batch)?;
        self.custom_values
            .write::<custom_field_value::Entity>(client_key, batch)
    }

    /// Returns the members that differ, under their GraphQL names; all members of a new or deleted client. The key, the
    /// version and the timestamps are left out: they follow from the audit record itself.
    pub(crate) fn members(&self, definitions: &Definitions) -> Vec<audit::Member> {
        let mut found = Vec::new();
        audit::Members::new(&mut found).columns(self.before, self.after, own_columns());
        for (before, after, key) in self.addresses.iter() {
            let columns = of_member(address::Column::Position);
            audit::Members::below(&mut found, &["addresses", key]).columns(before, after, columns);
        }
        for (before, after, key) in self.id_documents.iter() {
            let columns = of_member(id_document::Column::Position);
            audit::Members::below(&mut found, &["idDocuments", key]).columns(before, after, columns);
        }
        for (before, after, _) in self.custom_values.iter() {
            custom_value(before, after, definitions, &mut found);
        }
        found
    }
}

/// The changes that turn one list of members into another.
struct CollectionDiff<'a, M> {
    /// The members that are new or differ from the stored ones, each with its stored state.
    written: Vec<(Option<&'a M>, &'a M)>,
    removed: Vec<&'a M>,
}

impl<'a, M: Member> CollectionDiff<'a, M> {
    /// A collection that isn't replaced (`after` is none) doesn't differ.
    fn between(before: Option<&'a Vec<M>>, after: Option<&'a Vec<M>>) -> Self {
        let before = before
            .map(Vec::as_slice)
            .filter(|_| after.is_some())
            .unwrap_or_default();
        let after = after.map(Vec::as_slice).unwrap_or_default();
        let stored: HashMap<&str, &M> = before.iter().map(|member| (member.encoded_key(), member)).collect();
        let kept: HashSet<&str> = after.iter().map(M::encoded_key).collect();
        let pairs = after
            .iter()
            .map(|member| (stored.get(member.encoded_key()).copied(), member));
        Self {
            written: pairs.filter(|(stored, member)| *stored != Some(member)).collect(),
            removed: before
                .iter()
                .filter(|member| !kept.contains(member.encoded_key()))
                .collect(),
        }
    }

    /// The removal of all members.
    fn removal(before: Option<&'a Vec<M>>) -> Self {
        Self {
            written: Vec::new(),
            removed: before.into_iter().flatten().collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.written.is_empty()
    }

    /// The state before and after of each member that differs, with its key.
    fn iter(&self) -> impl Iterator<Item = (Option<&'a M>, Option<&'a M>, &'a str)> {
        let written = self.written.iter().map(|&(before, after)| (before, Some(after), after));
        let removed = self.removed.iter().map(|&before| (Some(before), None, before));
        let all = written.chain(removed);
        all.map(|(before, after, member)| (before, after, member.encoded_key()))
    }

    /// Adds the difference to the batch: at most one DELETE and one INSERT.
    fn write<C>(&self, client_key: &str, batch: &mut Batch) -> Result<()>
    where
        C: Collection<Model = M>,
    {
        if !self.removed.is_empty() {
            let keys: Vec<&str> = self.removed.iter().map(|member| member.encoded_key()).collect();
            batch.delete::<C>(client_key, &keys)?;
        }
        let rows: Vec<&M> = self.written.iter().map(|(_, member)| *member).collect();
        batch.put::<C>(&rows)
    }
}

/// The columns of a client that are recorded, in the order of earlier versions: required members, optional texts,
/// dates.
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
    found: &mut Vec<audit::Member>,
) {
    let Some(row) = after.or(before) else { return };
    let field = definitions.field_of_key(&row.field_key);
    let id = field.map_or(row.field_key.as_str(), |field| &field.row.field_id);
    let mut members = audit::Members::below(found, &["customInformation", id]);
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

    /// A later column can be anywhere among them.
    #[test]
    fn columns_of_the_first_version_keep_their_order() {
        let required = "client_id state first_name last_name preferred_language client_role_key";
        let texts = "middle_name gender email_address home_phone mobile_phone1 mobile_phone2 notes assigned_branch_key \
            assigned_centre_key assigned_user_key";
        let dates = "birth_date approved_at activated_at closed_at";
        let first = [required, texts, dates].join(" ");
        let first: Vec<&str> = first.split(' ').collect();
        let columns = own_columns();
        let names = columns.iter().map(|column| column.as_str());
        let (known, later): (Vec<&str>, Vec<&str>) = names.partition(|name| first.contains(name));
        assert_eq!(known, first);
        let unrecorded = ["encoded_key", "version", "created_at", "updated_at"];
        assert!(unrecorded.iter().all(|name| !later.contains(name)));
    }
}

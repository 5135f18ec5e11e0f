//! Decides which entries of the collections move. Pure functions of the two clients.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use async_graphql::MaybeUndefined;
use entity::{address, client, custom_field_value, id_document};

use super::{MergeClients, MergeMode};
use crate::{
    caller::Rights,
    client::Aggregate,
    definitions::{Definitions, NO_GROUP},
    upsert::{
        AddressInput, ClientInput, CustomFieldValueInput, IdDocumentInput, Scope, UpsertClient,
        check::{ValidationContext, close_gaps},
    },
};
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
    scalar::Date,
};

/// The entries that move.
pub(super) struct Moved<'a> {
    addresses: Vec<&'a address::Model>,
    id_documents: Vec<&'a id_document::Model>,
    values: Vec<MovedValue<'a>>,
}

/// A custom field value with the id of its field, and the group that it has in the other client.
struct MovedValue<'a> {
    value: &'a custom_field_value::Model,
    field_id: &'a str,
    group_index: i32,
}

impl<'a> Moved<'a> {
    /// Links between the two clients stay: the other client would link to itself. So do values that the caller may not
    /// change.
    pub fn of(
        input: &MergeClients,
        from: &'a Aggregate,
        into: &Aggregate,
        definitions: &'a Definitions,
        rights: &Rights,
    ) -> Self {
        let (of_into, stored) = (into.addresses.as_deref().unwrap_or_default(), &from.addresses);
        let addresses = match input.addresses {
            MergeMode::Add if of_into.is_empty() => stored.iter().flatten().take(1).collect(),
            MergeMode::Replace => stored.iter().flatten().take(1).collect(),
            MergeMode::Add | MergeMode::Keep => Vec::new(),
        };
        let number = |document: &id_document::Model| (document.document_type.clone(), document.document_id.clone());
        let numbers: HashSet<_> = into.id_documents.iter().flatten().map(number).collect();
        let mut id_documents: Vec<&id_document::Model> = from.id_documents.iter().flatten().collect();
        id_documents.retain(|document| match input.id_documents {
            MergeMode::Keep => false,
            MergeMode::Add => !numbers.contains(&number(document)),
            MergeMode::Replace => true,
        });
        Self {
            addresses,
            id_documents,
            values: values(input.custom_information, from, into, definitions, rights),
        }
    }

    /// Returns the problem of a link from `into` to `from` that the merge would keep: `into` would link to itself.
    pub fn remaining_link(
        &self,
        input: &MergeClients,
        from: &Aggregate,
        into: &Aggregate,
        definitions: &Definitions,
        rights: &Rights,
    ) -> Option<Problem> {
        let is_replaced = input.custom_information == MergeMode::Replace;
        let link = into.custom_values.iter().flatten().find_map(|value| {
            let field = definitions.field_of_key(&value.field_key)?;
            let is_link = field.links_clients() && value.linked_key.as_ref() == Some(&from.client.encoded_key);
            (is_link && !(is_replaced && field.is_editable(rights))).then_some(field)
        })?;
        let message = match link.is_shown(rights) {
            true => format!(
                "The client links to the one to merge by the field {}: remove this link first.",
                link.row.field_id
            ),
            false => "The client links to the one to merge by a field that you may not view: have it removed first."
                .to_owned(),
        };
        Some(Problem {
            custom_field: link.is_shown(rights).then(|| link.row.field_id.as_str().into()),
            ..Problem::new(ProblemCode::StillLinked, path!["into"], message)
        })
    }

    /// Returns the upsert that gives `into` the moved entries and the copied members.
    pub fn upsert(&self, input: &MergeClients, from: &Aggregate, into: &Aggregate) -> UpsertClient {
        let addresses = self.addresses.iter().map(|address| address_input(address)).collect();
        let stored = into.id_documents.iter().flatten().map(|document| IdDocumentInput {
            encoded_key: MaybeUndefined::Value(document.encoded_key.clone()),
            ..IdDocumentInput::default()
        });
        let stored = stored.filter(|_| input.id_documents == MergeMode::Add);
        let id_documents = stored.chain(self.id_documents.iter().map(|document| document_input(document)));
        let id_documents = id_documents.collect();
        let values = self.values.iter().map(|moved| CustomFieldValueInput {
            field_id: moved.field_id.to_owned(),
            group_index: (moved.group_index != NO_GROUP).then_some(moved.group_index),
            value: sent(moved.value.value.as_ref()),
            linked_key: sent(moved.value.linked_key.as_ref()),
            ..CustomFieldValueInput::default()
        });
        let values = values.collect();
        UpsertClient {
            client: ClientInput::copied(&from.client, &input.members),
            addresses: list(input.addresses, self.addresses.is_empty(), addresses),
            id_documents: list(input.id_documents, self.id_documents.is_empty(), id_documents),
            custom_information: list(input.custom_information, self.values.is_empty(), values),
            is_partial: input.custom_information == MergeMode::Add,
            scope: Scope::Merge,
            merged_from: Some(from.client.encoded_key.clone()),
            validate_only: input.validate_only,
            ..UpsertClient::default()
        }
    }

    /// Gives the entries in their new client the keys that they had, unless that client has them already. A value that
    /// stays can have taken over such a key with its group, and keeps it.
    pub fn with_keys(&self, mut after: Aggregate, into: &Aggregate, left: &Aggregate) -> Aggregate {
        if let (Some([address]), [moved]) = (after.addresses.as_deref_mut(), &*self.addresses) {
            let mut stored = into.addresses.iter().flatten();
            if stored.all(|stored| stored.encoded_key != moved.encoded_key) {
                address.encoded_key.clone_from(&moved.encoded_key);
            }
        }
        let stored = into.id_documents.iter().flatten();
        let stored: HashSet<&str> = stored.map(|document| document.encoded_key.as_str()).collect();
        if let Some(documents) = &mut after.id_documents {
            let first = documents.len() - self.id_documents.len();
            for (document, moved) in documents[first..].iter_mut().zip(&self.id_documents) {
                if !stored.contains(&*moved.encoded_key) {
                    document.encoded_key.clone_from(&moved.encoded_key);
                }
            }
        }
        let stored = into.custom_values.iter().chain(&left.custom_values).flatten();
        let stored: HashSet<&str> = stored.map(|value| value.encoded_key.as_str()).collect();
        let moved = self.values.iter().map(|moved| {
            let place = (moved.value.field_key.as_str(), moved.group_index);
            (place, moved.value.encoded_key.as_str())
        });
        let moved: HashMap<(&str, i32), &str> = moved.filter(|(_, key)| !stored.contains(key)).collect();
        for value in after.custom_values.iter_mut().flatten() {
            // A value of a field and group that had one keeps its key.
            if !stored.contains(&*value.encoded_key)
                && let Some(key) = moved.get(&(value.field_key.as_str(), value.group_index))
            {
                (*key).clone_into(&mut value.encoded_key);
            }
        }
        after
    }

    /// Returns the merged client with this row, without what moves. `context` has the stored client.
    pub fn left(&self, from: &Aggregate, client: client::Model, context: &ValidationContext<'_>) -> Aggregate {
        let addresses = rest(from.addresses.as_ref(), &self.addresses, |address, position| {
            address.position = position;
        });
        let id_documents = rest(from.id_documents.as_ref(), &self.id_documents, |document, position| {
            document.position = position;
        });
        let values: Vec<_> = self.values.iter().map(|moved| moved.value).collect();
        let mut custom_values = rest(from.custom_values.as_ref(), &values, |value, position| {
            value.position = position;
        });
        if let Some(values) = &mut custom_values {
            close_gaps(values, context);
        }
        Aggregate {
            client,
            addresses,
            id_documents,
            custom_values,
        }
    }
}

/// The values that move, in their order.
fn values<'a>(
    mode: MergeMode,
    from: &'a Aggregate,
    into: &Aggregate,
    definitions: &'a Definitions,
    rights: &Rights,
) -> Vec<MovedValue<'a>> {
    let own = into.custom_values.iter().flatten();
    let own: HashSet<(&str, i32)> = own.map(|value| (&*value.field_key, value.group_index)).collect();
    let ends = [&from.client.encoded_key, &into.client.encoded_key];
    let mut moved: Vec<_> = from.custom_values.iter().flatten().collect();
    moved.sort_by_key(|value| value.position);
    let moved = moved.into_iter().filter_map(|value| {
        let field = definitions.field_of_key(&value.field_key)?;
        let is_between = field.links_clients() && value.linked_key.as_ref().is_some_and(|key| ends.contains(&key));
        let is_lacking = field.is_grouped() || !own.contains(&(&*value.field_key, NO_GROUP));
        let moves = match mode {
            MergeMode::Keep => false,
            MergeMode::Add => is_lacking,
            MergeMode::Replace => true,
        };
        (moves && !is_between && field.is_editable(rights)).then_some((field, value))
    });
    let moved: Vec<_> = moved.collect();
    // The groups that move, by set, and the number of groups that the other client has of it.
    let mut groups: BTreeMap<&str, (BTreeSet<i32>, i32)> = BTreeMap::new();
    for (field, value) in moved.iter().filter(|(field, _)| field.is_grouped()) {
        let (of_set, _) = groups.entry(&field.set.encoded_key).or_default();
        of_set.insert(value.group_index);
    }
    if mode == MergeMode::Add {
        for (field_key, group_index) in &own {
            let field = definitions.field_of_key(field_key);
            if let Some((_, next)) = field.and_then(|field| groups.get_mut(&*field.set.encoded_key)) {
                *next = (*next).max(group_index + 1);
            }
        }
    }
    let moved = moved.into_iter().map(|(field, value)| MovedValue {
        value,
        field_id: &field.row.field_id,
        group_index: match groups.get(&*field.set.encoded_key) {
            Some((of_set, next)) if field.is_grouped() => next + of_set.range(..value.group_index).count() as i32,
            _ => NO_GROUP,
        },
    });
    moved.collect()
}

/// The list of the other client: absent if nothing changes, complete otherwise.
fn list<T>(mode: MergeMode, nothing_moves: bool, list: Vec<T>) -> MaybeUndefined<Vec<T>> {
    match mode {
        MergeMode::Replace => MaybeUndefined::Value(list),
        MergeMode::Add if !nothing_moves => MaybeUndefined::Value(list),
        MergeMode::Add | MergeMode::Keep => MaybeUndefined::Undefined,
    }
}

/// The entries that stay, numbered anew; none if nothing moves.
fn rest<M: entity::Member>(stored: Option<&Vec<M>>, moved: &[&M], place: impl Fn(&mut M, i32)) -> Option<Vec<M>> {
    if moved.is_empty() {
        return None;
    }
    let moved: HashSet<&str> = moved.iter().map(|member| member.encoded_key()).collect();
    let stored = stored.into_iter().flatten();
    let rest = stored.filter(|member| !moved.contains(member.encoded_key()));
    let rest = rest.cloned().zip(0..).map(|(mut member, position)| {
        place(&mut member, position);
        member
    });
    Some(rest.collect())
}

fn sent<T: Clone>(value: Option<&T>) -> MaybeUndefined<T> {
    value.cloned().map_or(MaybeUndefined::Undefined, MaybeUndefined::Value)
}

fn address_input(address: &address::Model) -> AddressInput {
    AddressInput {
        encoded_key: MaybeUndefined::Undefined,
        line1: sent(address.line1.as_ref()),
        line2: sent(address.line2.as_ref()),
        city: sent(address.city.as_ref()),
        region: sent(address.region.as_ref()),
        postcode: sent(address.postcode.as_ref()),
        country: sent(address.country.as_ref()),
        latitude: sent(address.latitude.as_ref()),
        longitude: sent(address.longitude.as_ref()),
    }
}

fn document_input(document: &id_document::Model) -> IdDocumentInput {
    IdDocumentInput {
        encoded_key: MaybeUndefined::Undefined,
        document_type: sent(Some(&document.document_type)),
        document_id: sent(Some(&document.document_id)),
        issuing_authority: sent(document.issuing_authority.as_ref()),
        valid_until: sent(document.valid_until.map(Date).as_ref()),
        template_key: sent(document.template_key.as_ref()),
    }
}

//! The definitions that one client was shown with, kept to show it like that again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use entity::{client_role, custom_field, custom_field_set};
use serde::{Deserialize, Serialize};

use super::{Definitions, Field, index};
use crate::definitions::Kind;
use clientele_core::error::{Error, Result};

/// A role, and the fields that a client has values for, at one version of the definitions. Leaves out the options of
/// fields: there can be a thousand, and they say nothing about the client.
#[derive(Debug, Serialize, Deserialize)]
pub struct Excerpt {
    version: i64,
    role: Option<client_role::Model>,
    sets: Vec<custom_field_set::Model>,
    fields: Vec<Excerpted>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Excerpted {
    field: custom_field::Model,
}

impl Excerpt {
    /// Returns the excerpt for a client of this role with values for these fields.
    pub fn of<'a>(definitions: &Definitions, role_key: &str, field_keys: impl Iterator<Item = &'a str>) -> Self {
        let keys: BTreeSet<&str> = field_keys.collect();
        let fields: Vec<&Field> = keys
            .into_iter()
            .filter_map(|key| definitions.field_of_key(key))
            .collect();
        let sets: BTreeMap<&str, _> = fields
            .iter()
            .map(|field| (&*field.set.encoded_key, &field.set))
            .collect();
        Self {
            version: definitions.version,
            role: definitions.role_of_key(role_key).cloned(),
            sets: sets
                .into_values()
                .map(|set| custom_field_set::Model::clone(set))
                .collect(),
            fields: fields
                .iter()
                .map(|field| Excerpted {
                    field: field.row.clone(),
                })
                .collect(),
        }
    }

    /// The version of the definitions.
    pub fn version(&self) -> i64 {
        self.version
    }

    /// As [`Excerpts::over`].
    pub fn over(self, present: &Arc<Definitions>) -> Result<Arc<Definitions>> {
        let mut all = Excerpts::default();
        all.add(self);
        all.over(present)
    }
}

/// The excerpts of several clients, all of one version of the definitions.
#[derive(Debug, Default)]
pub struct Excerpts {
    version: i64,
    roles: BTreeMap<String, client_role::Model>,
    sets: BTreeMap<String, Arc<custom_field_set::Model>>,
    fields: BTreeMap<String, custom_field::Model>,
}

impl Excerpts {
    /// Adds an excerpt of the same version.
    pub fn add(&mut self, excerpt: Excerpt) {
        self.version = excerpt.version;
        self.roles
            .extend(excerpt.role.map(|role| (role.encoded_key.clone(), role)));
        let sets = excerpt.sets.into_iter();
        self.sets
            .extend(sets.map(|set| (set.encoded_key.clone(), Arc::new(set))));
        let fields = excerpt.fields.into_iter();
        self.fields
            .extend(fields.map(|Excerpted { field }| (field.encoded_key.clone(), field)));
    }

    /// Returns the present definitions, with the roles and the fields in these excerpts as they were, even if they no
    /// longer exist. Fields have their present options, and none if they no longer exist.
    pub fn over(self, present: &Arc<Definitions>) -> Result<Arc<Definitions>> {
        if self.version == present.version {
            return Ok(present.clone());
        }
        let mut all = Definitions::clone(present);
        for role in self.roles.into_values() {
            put(&mut all.roles, role, |role| &role.encoded_key);
        }
        for set in self.sets.values() {
            put(&mut all.sets, set.clone(), |set| &set.encoded_key);
        }
        for row in self.fields.into_values() {
            let now = present.field_of_key(&row.encoded_key);
            let (kind, set) = Kind::parse(&row.kind).zip(self.sets.get(&row.set_key)).ok_or_else(|| {
                Error::defect("a custom field was kept without its set, or with a type that isn't known")
            })?;
            let field = Field {
                kind,
                options: now.map(|field| field.options.clone()).unwrap_or_default(),
                roles: now.map(|field| field.roles.clone()).unwrap_or_default(),
                set: set.clone(),
                row,
            };
            put(&mut all.fields, Arc::new(field), |field| &field.row.encoded_key);
        }
        all.by_key = index(&all.fields, |field| &field.row.encoded_key);
        all.by_id = index(&all.fields, |field| &field.row.field_id);
        Ok(Arc::new(all))
    }
}

/// Replaces the item with the same key, or appends `item`.
fn put<T>(items: &mut Vec<T>, item: T, key: impl Fn(&T) -> &String) {
    match items.iter().position(|other| key(other) == key(&item)) {
        Some(at) => items[at] = item,
        None => items.push(item),
    }
}

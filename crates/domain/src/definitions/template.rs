//! The data of message templates.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use entity::{message_template, message_variant};
use serde::{Deserialize, Serialize};

use super::placeholder::{Part, parts};
use crate::enums::{Channel, ClientState, Event, Language};
use clientele_core::error::{Error, Result};

/// A template with its variants and conditions.
#[derive(Clone, Debug)]
pub struct Template {
    pub row: message_template::Model,
    pub event: Event,
    pub channel: Channel,
    /// The current variants, sorted by the text of their languages. One has the default language.
    pub variants: Vec<Variant>,
    pub conditions: Conditions,
    default: usize,
}

/// The texts of a template in one language.
#[derive(Clone, Debug)]
pub struct Variant {
    pub row: message_variant::Model,
    pub language: Language,
    /// The keys of the placeholders in its texts.
    pub keys: BTreeSet<String>,
}

/// Conditions that must all hold. An empty list always holds, as does one that was unknown when the conditions were
/// stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Conditions {
    /// The client must have one of the roles with these keys.
    pub roles: Vec<String>,
    /// The client must be in one of these states.
    pub states: Vec<ClientState>,
    pub fields: Vec<FieldCondition>,
}

/// A custom field must have this value. A field that no longer exists has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldCondition {
    pub field_key: String,
    /// The value in its canonical text; for a link, the linked key.
    pub value: String,
}

impl Template {
    /// Reads stored templates, in order, with their current variants in any order. Skips templates that can't be read.
    pub fn read(rows: Vec<message_template::Model>, variants: Vec<message_variant::Model>) -> Vec<Arc<Self>> {
        let mut of_template: HashMap<String, Vec<message_variant::Model>> = HashMap::new();
        for variant in variants {
            of_template
                .entry(variant.template_key.clone())
                .or_default()
                .push(variant);
        }
        // A template that a later version has stored must not stop this one from writing clients.
        let template = |row: message_template::Model| {
            let (key, variants) = (
                row.encoded_key.clone(),
                of_template.remove(&row.encoded_key).unwrap_or_default(),
            );
            let read = Self::of(row, variants);
            if let Err(error) = &read {
                tracing::warn!(
                    template = key,
                    error = error.kind(),
                    "a message template can't be read and isn't used"
                );
            }
            read.ok().map(Arc::new)
        };
        rows.into_iter().filter_map(template).collect()
    }

    fn of(row: message_template::Model, variants: Vec<message_variant::Model>) -> Result<Self> {
        let unknown = || Error::defect("a message template has a value that this server does not know");
        let mut variants: Vec<Variant> = variants.into_iter().map(Variant::of).collect::<Result<_>>()?;
        variants.sort_by_key(|variant| variant.language.as_str());
        let default = variants
            .iter()
            .position(|variant| variant.row.language == row.default_language);
        Ok(Self {
            event: Event::parse(&row.event).ok_or_else(unknown)?,
            channel: Channel::parse(&row.channel).ok_or_else(unknown)?,
            conditions: serde_json::from_str(&row.conditions).map_err(Error::internal)?,
            default: default
                .ok_or_else(|| Error::defect("a message template has no variant in its default language"))?,
            variants,
            row,
        })
    }

    /// Returns the variant in this language, else in the default one.
    pub fn variant_for(&self, language: &str) -> &Variant {
        self.variant_in(language).unwrap_or(&self.variants[self.default])
    }

    /// Returns the variant in this language only.
    pub fn variant_in(&self, language: &str) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.row.language == language)
    }
}

impl Variant {
    fn of(row: message_variant::Model) -> Result<Self> {
        let language = Language::parse(&row.language)
            .ok_or_else(|| Error::defect("a message template has a language that this server does not know"))?;
        let texts = [row.subject.as_deref(), Some(&row.text), row.html.as_deref()];
        let parts = texts.into_iter().flatten().flat_map(parts);
        let keys = parts.filter_map(|part| match part {
            Part::Placeholder { key, .. } => Some(key.to_owned()),
            Part::Text(_) => None,
        });
        Ok(Self {
            keys: keys.collect(),
            language,
            row,
        })
    }
}

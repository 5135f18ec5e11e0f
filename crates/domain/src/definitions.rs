//! Caches a consistent snapshot of the definitions in memory.
//!
//! Every statement that reads clients reads the definitions' version too. If it differs from that of the snapshot, the
//! snapshot is loaded again. So no server checks or shows a value by a stale definition.

mod change;
mod excerpt;
mod kind;
pub mod placeholder;
mod template;

use std::{collections::HashMap, sync::Arc};

pub(crate) use change::{Applied, DefinitionChange, DefinitionInput, change};
pub use change::{ChangedDefinitions, shared_lock};
use entity::{
    client_role, custom_field, custom_field_option, custom_field_role, custom_field_set, id_document_template,
    message_template, message_variant,
};
pub use excerpt::{Excerpt, Excerpts};
pub use kind::{Kind, fits};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder};
pub use template::{Conditions, FieldCondition, Template, Variant};
use tokio::sync::RwLock;

use crate::{audit::DefinedFields, caller::Rights, client_by::ClientRoleBy};
use clientele_core::{
    error::{Error, Result},
    text_enum,
};
use clientele_storage::db::{Connection, Database};

/// The group index of a value whose set isn't grouped.
pub const NO_GROUP: i32 = -1;

text_enum! {
    /// The state of a custom field, or of an option.
    #[graphql(name = "CustomFieldState")]
    FieldState {
        /// The field takes values; the option can be chosen.
        Active = "ACTIVE",
        /// Clients keep the values that they have, and no new ones are accepted.
        Deactivated = "DEACTIVATED",
    }
}

text_enum! {
    /// The number of values that a client can have for each field of a set.
    #[graphql(name = "CustomFieldSetUsage")]
    SetUsage {
        /// One value for each field.
        Single = "SINGLE",
        /// One value for each field in each of any number of groups, which are numbered from 0.
        Grouped = "GROUPED",
    }
}

/// A custom field with its options and its set.
#[derive(Clone, Debug)]
pub struct Field {
    pub row: custom_field::Model,
    pub kind: Kind,
    pub options: Vec<custom_field_option::Model>,
    /// The client roles that it is available to; empty for all.
    pub roles: Vec<custom_field_role::Model>,
    pub set: Arc<custom_field_set::Model>,
}

impl Field {
    pub fn is_active(&self) -> bool {
        self.row.state == FieldState::Active.as_str()
    }

    /// Returns true if clients can have several values for it, each in a group.
    pub fn is_grouped(&self) -> bool {
        self.set.usage == SetUsage::Grouped.as_str()
    }

    /// Returns true if clients of this role can have values for it.
    pub fn is_available(&self, role_key: &str) -> bool {
        self.roles.is_empty() || self.roles.iter().any(|role| role.role_key == role_key)
    }

    /// Returns true if every client of this role needs a value for it; in a grouped set, every group.
    pub fn is_demanded(&self, role_key: &str) -> bool {
        let of_role = |role: &custom_field_role::Model| role.is_required && role.role_key == role_key;
        let is_required = self.row.required || self.roles.iter().any(of_role);
        is_required && self.is_active() && self.is_available(role_key)
    }

    /// Returns true if a caller with these rights may see its values.
    pub fn is_shown(&self, rights: &Rights) -> bool {
        rights.views(&self.set.set_id)
    }

    /// Returns true if a caller with these rights may change its values.
    pub fn is_editable(&self, rights: &Rights) -> bool {
        rights.edits(&self.set.set_id)
    }

    /// Finds an option by its value.
    pub fn option(&self, value: &str) -> Option<&custom_field_option::Model> {
        self.options.iter().find(|option| option.value == value)
    }

    /// Returns true if the option with this value is available when the parent field has `parent_value`.
    pub fn is_option_for(&self, value: &str, parent_value: &str) -> bool {
        let for_values = self.option(value).map(for_values).unwrap_or_default();
        for_values.is_empty() || for_values.iter().any(|value| value == parent_value)
    }

    pub fn links_clients(&self) -> bool {
        self.kind == Kind::ClientLink
    }

    /// The limit of its text, in characters; none if its values aren't texts.
    pub fn longest(&self) -> Option<usize> {
        let longest = self.kind.longest()?;
        Some(
            self.row
                .max_length
                .map_or(longest, |length| longest.min(length as usize)),
        )
    }
}

/// The values of the parent field that an option is available for; empty for all.
pub fn for_values(option: &custom_field_option::Model) -> Vec<String> {
    let values = option.for_values.as_deref();
    values
        .and_then(|values| serde_json::from_str(values).ok())
        .unwrap_or_default()
}

/// All definitions at one version.
#[derive(Clone, Debug)]
#[cfg_attr(test, derive(Default))]
pub struct Definitions {
    pub version: i64,
    /// In order; one of them is the default.
    pub roles: Vec<client_role::Model>,
    pub sets: Vec<Arc<custom_field_set::Model>>,
    /// In the order of their sets and their position in the set.
    pub fields: Vec<Arc<Field>>,
    /// The templates of identification documents, in order.
    pub document_templates: Vec<id_document_template::Model>,
    /// In order.
    pub templates: Vec<Arc<Template>>,
    by_id: HashMap<String, usize>,
    by_key: HashMap<String, usize>,
    default_role: usize,
}

impl Definitions {
    /// Finds a field by its id.
    pub fn field(&self, id: &str) -> Option<&Field> {
        self.by_id.get(id).map(|at| &*self.fields[*at])
    }

    /// Finds a field by its key.
    pub fn field_of_key(&self, key: &str) -> Option<&Field> {
        self.by_key.get(key).map(|at| &*self.fields[*at])
    }

    /// Returns the fields of a set, in order.
    pub fn fields_of(&self, set_key: &str) -> Vec<&Field> {
        self.fields
            .iter()
            .map(|field| &**field)
            .filter(|field| field.row.set_key == set_key)
            .collect()
    }

    pub fn set_of_key(&self, key: &str) -> Option<&custom_field_set::Model> {
        self.sets.iter().find(|set| set.encoded_key == key).map(|set| &**set)
    }

    pub fn role_of_key(&self, key: &str) -> Option<&client_role::Model> {
        self.roles.iter().find(|role| role.encoded_key == key)
    }

    /// Finds a role by its key or id.
    pub fn role(&self, by: &ClientRoleBy) -> Option<&client_role::Model> {
        match by {
            ClientRoleBy::EncodedKey(key) => self.role_of_key(key),
            ClientRoleBy::RoleId(id) => self.roles.iter().find(|role| role.role_id == *id),
        }
    }

    pub fn document_template_of_key(&self, key: &str) -> Option<&id_document_template::Model> {
        self.document_templates
            .iter()
            .find(|template| template.encoded_key == key)
    }

    pub fn template_of_key(&self, key: &str) -> Option<&Arc<Template>> {
        self.templates.iter().find(|template| template.row.encoded_key == key)
    }

    /// Finds a template by its id.
    pub fn template(&self, id: &str) -> Option<&Arc<Template>> {
        self.templates.iter().find(|template| template.row.template_id == id)
    }

    /// The role of clients without a given role.
    pub fn default_role(&self) -> &client_role::Model {
        &self.roles[self.default_role]
    }

    /// Reads all definitions. Retries if they change meanwhile.
    pub async fn load<C: ConnectionTrait>(connection: &Connection<C>) -> Result<Self> {
        loop {
            let version = version(connection).await?;
            let definitions = Self::read(connection, version).await?;
            if self::version(connection).await? == version {
                return Ok(definitions);
            }
        }
    }

    async fn read<C: ConnectionTrait>(connection: &Connection<C>, version: i64) -> Result<Self> {
        let roles = client_role::Entity::find()
            .order_by_asc(client_role::Column::Position)
            .all(connection)
            .await?;
        let sets = custom_field_set::Entity::find()
            .order_by_asc(custom_field_set::Column::Position)
            .all(connection)
            .await?;
        let rows = custom_field::Entity::find()
            .order_by_asc(custom_field::Column::Position)
            .all(connection)
            .await?;
        let mut options: HashMap<String, Vec<custom_field_option::Model>> = HashMap::new();
        let stored = custom_field_option::Entity::find().order_by_asc(custom_field_option::Column::Position);
        for option in stored.all(connection).await? {
            options.entry(option.field_key.clone()).or_default().push(option);
        }
        let mut field_roles: HashMap<String, Vec<custom_field_role::Model>> = HashMap::new();
        let stored = custom_field_role::Entity::find().order_by_asc(custom_field_role::Column::Position);
        for role in stored.all(connection).await? {
            field_roles.entry(role.field_key.clone()).or_default().push(role);
        }
        let sets: Vec<_> = sets.into_iter().map(Arc::new).collect();
        let mut fields = Vec::with_capacity(rows.len());
        for set in &sets {
            for row in rows.iter().filter(|row| row.set_key == set.encoded_key) {
                let kind = Kind::parse(&row.kind)
                    .ok_or_else(|| Error::defect("a custom field has a type that this server does not know"))?;
                let options = options.remove(&row.encoded_key).unwrap_or_default();
                fields.push(Arc::new(Field {
                    row: row.clone(),
                    kind,
                    options,
                    roles: field_roles.remove(&row.encoded_key).unwrap_or_default(),
                    set: set.clone(),
                }));
            }
        }
        let default_role = roles
            .iter()
            .position(|role| role.is_default)
            .ok_or_else(|| Error::defect("there is no default client role"))?;
        let (by_id, by_key) = (
            index(&fields, |field| &field.row.field_id),
            index(&fields, |field| &field.row.encoded_key),
        );
        Ok(Self {
            version,
            roles,
            sets,
            fields,
            document_templates: id_document_template::Entity::find()
                .order_by_asc(id_document_template::Column::Position)
                .all(connection)
                .await?,
            templates: templates(connection).await?,
            by_id,
            by_key,
            default_role,
        })
    }
}

/// Maps the names of fields to their positions.
fn index(fields: &[Arc<Field>], name: fn(&Field) -> &String) -> HashMap<String, usize> {
    let places = fields.iter().enumerate();
    places.map(|(at, field)| (name(field).clone(), at)).collect()
}

async fn templates<C: ConnectionTrait>(connection: &Connection<C>) -> Result<Vec<Arc<Template>>> {
    let rows = message_template::Entity::find().order_by_asc(message_template::Column::Position);
    let variants = message_variant::Entity::find().filter(message_variant::Column::Current.into_expr());
    Ok(Template::read(
        rows.all(connection).await?,
        variants.all(connection).await?,
    ))
}

/// Reads the stored version.
pub async fn version<C: ConnectionTrait>(connection: &Connection<C>) -> Result<i64> {
    let row = connection.one("SELECT version FROM definition_version", []).await?;
    let row = row.ok_or_else(|| Error::defect("the definitions have no version"))?;
    Ok(row.try_get_by_index(0)?)
}

/// The snapshot, shared by all requests of this server. Clones share it.
#[derive(Clone, Debug)]
pub struct DefinitionsCache {
    db: Database,
    snapshot: Arc<RwLock<Option<Arc<Definitions>>>>,
}

impl DefinedFields for Definitions {
    fn is_hidden(&self, field_id: &str, rights: &Rights) -> bool {
        self.field(field_id).is_some_and(|field| !field.is_shown(rights))
    }
}

impl DefinitionsCache {
    pub fn new(db: Database) -> Self {
        Self {
            db,
            snapshot: Arc::default(),
        }
    }

    /// Returns the definitions at `version`, or later ones if they have changed meanwhile.
    pub async fn at<C: ConnectionTrait>(&self, version: i64, connection: &Connection<C>) -> Result<Arc<Definitions>> {
        if let Some(definitions) = &*self.snapshot.read().await
            && definitions.version == version
        {
            return Ok(definitions.clone());
        }
        let loaded = Arc::new(Definitions::load(connection).await?);
        *self.snapshot.write().await = Some(loaded.clone());
        Ok(loaded)
    }

    /// Returns the snapshot, which may be out of date.
    pub async fn known(&self) -> Option<Arc<Definitions>> {
        self.snapshot.read().await.clone()
    }

    /// Returns any snapshot, for a response without a client.
    pub async fn latest_known(&self) -> Result<Arc<Definitions>> {
        if let Some(definitions) = &*self.snapshot.read().await {
            return Ok(definitions.clone());
        }
        self.current().await
    }

    /// Returns the definitions to mask audit records with: as they are stored now, unless the caller can view all values.
    pub async fn to_mask(&self, rights: &Rights) -> Result<Arc<Definitions>> {
        match rights.views_all() {
            true => self.latest_known().await,
            false => self.current().await,
        }
    }

    /// Returns the definitions as they are stored now.
    pub async fn current(&self) -> Result<Arc<Definitions>> {
        let connection = self.db.read();
        self.at(version(connection).await?, connection).await
    }
}

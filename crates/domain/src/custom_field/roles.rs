//! Creates and changes client roles. There is always exactly one default role.

use async_graphql::{InputObject, MaybeUndefined};
use chrono::{DateTime, SubsecRound, Utc};
use entity::client_role;
use serde::Serialize;

use crate::{
    audit::{Action, Members, Subject},
    caller::Caller,
    definitions::{Applied, DefinitionChange, DefinitionInput, Definitions},
    id_pattern::IdPattern,
    member::{Problems, Scalars, TEXT_LIMIT},
};
use clientele_core::{
    error::Result,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::Transaction;

/// Limit of the client roles.
const MOST: usize = 1_000;

/// Creates a client role, or changes the existing role with this `roleId`.
#[derive(InputObject, Serialize, Clone, Debug, Default)]
#[graphql(name = "UpsertClientRoleInput")]
#[serde(rename_all = "camelCase")]
pub struct UpsertClientRole {
    /// The ID of the role, up to 32 characters.
    pub role_id: String,
    /// The key of a new role: 1 to 32 letters and digits. Omit it to have one generated.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub encoded_key: MaybeUndefined<String>,
    /// The display name, up to 255 characters. Required on creation.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub name: MaybeUndefined<String>,
    /// The purpose of the role, up to 255 characters.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub description: MaybeUndefined<String>,
    /// True makes it the default role in place of the current one. Clients have the default role unless another role is
    /// set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_default: Option<bool>,
    /// The form of the IDs that are generated for its clients, up to 32 characters: `#` is a digit, `@` a capital
    /// letter, `$` either, any other character itself. Null for the configured form.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub id_pattern: MaybeUndefined<String>,
    /// True if its clients can have an address. True by default. Stored addresses stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allows_addresses: Option<bool>,
    /// True if its clients must have an identification document, which is required on creation and in each list of
    /// documents. False by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires_id_document: Option<bool>,
    /// The time at which an imported role was created; now by default.
    #[graphql(skip)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<DateTime<Utc>>,
    /// An ID of your choice, which the payload returns unchanged.
    #[serde(skip)]
    pub client_mutation_id: Option<String>,
}

impl DefinitionInput for UpsertClientRole {
    async fn apply(
        &self,
        _: &Caller,
        present: &Definitions,
        transaction: &Transaction,
        now: DateTime<Utc>,
    ) -> Result<Result<Applied, Vec<Problem>>> {
        // The databases keep microseconds.
        let role = match check(self, present, now.trunc_subsecs(6)) {
            Ok(role) => role,
            Err(problems) => return Ok(Err(problems)),
        };
        let (key, before) = (role.encoded_key.clone(), present.role_of_key(&role.encoded_key));
        let mut changes = Vec::new();
        if before != Some(&role) {
            if role.is_default {
                // Only one role can be the default at any time, within the transaction too.
                let retire = "UPDATE client_role SET is_default = FALSE WHERE is_default";
                transaction.run(retire, []).await?;
            }
            transaction.put::<client_role::Entity>(&[&role]).await?;
            let default = present.default_role();
            if role.is_default && default.encoded_key != key {
                let retired = client_role::Model {
                    is_default: false,
                    ..default.clone()
                };
                changes.push(change(Some(default), &retired));
            }
            changes.push(change(before, &role));
        }
        Ok(Ok(Applied {
            key,
            changes,
            warnings: Vec::new(),
        }))
    }
}

fn change(before: Option<&client_role::Model>, after: &client_role::Model) -> DefinitionChange {
    use client_role::Column::{
        AllowsAddresses, Description, IdPattern, IsDefault, Name, Position, RequiresIdDocument, RoleId,
    };
    let mut members = Vec::new();
    let own = [RoleId, Name, Description, IsDefault, Position];
    let columns = own.into_iter().chain([IdPattern, AllowsAddresses, RequiresIdDocument]);
    Members::new(&mut members).columns(before, Some(after), columns);
    DefinitionChange {
        subject: Subject::ClientRole,
        key: after.encoded_key.clone(),
        action: Action::of(before),
        members,
    }
}

fn check(
    input: &UpsertClientRole,
    definitions: &Definitions,
    now: DateTime<Utc>,
) -> Result<client_role::Model, Vec<Problem>> {
    let UpsertClientRole {
        role_id,
        encoded_key,
        name,
        description,
        is_default,
        id_pattern,
        allows_addresses,
        requires_id_document,
        created_at,
        client_mutation_id: _,
    } = input;
    let mut problems = Problems::default();
    let mut member = Scalars {
        scope: Vec::new(),
        problems: &mut problems,
    };
    let stored = definitions.roles.iter().find(|role| role.role_id == *role_id);
    member.definition_id("roleId", role_id, stored.is_some());
    if stored.is_none() && definitions.roles.len() >= MOST {
        let message = format!("There are at most {MOST} client roles: change an existing one.");
        member.refuse(ProblemCode::TooMany, "roleId", message);
    }
    let is_taken = |key: &str| definitions.role_of_key(key).is_some();
    let encoded_key = member.definition_key(encoded_key, stored.map(|role| role.encoded_key.as_str()), is_taken);
    if *is_default == Some(false) && stored.is_some_and(|role| role.is_default) {
        let message = "There must be a default role: make another one the default instead.";
        member.refuse(ProblemCode::Invalid, "isDefault", message);
    }
    let role = client_role::Model {
        encoded_key,
        role_id: role_id.clone(),
        name: member.required("name", name, stored.map_or("", |role| &role.name)),
        description: member.lines(
            "description",
            description,
            stored.and_then(|role| role.description.clone()),
            TEXT_LIMIT,
        ),
        is_default: is_default.unwrap_or(stored.is_some_and(|role| role.is_default)),
        position: stored.map_or(definitions.roles.len() as i32, |role| role.position),
        id_pattern: member.text("idPattern", id_pattern, stored.and_then(|role| role.id_pattern.clone())),
        allows_addresses: allows_addresses.unwrap_or(stored.is_none_or(|role| role.allows_addresses)),
        requires_id_document: requires_id_document.unwrap_or(stored.is_some_and(|role| role.requires_id_document)),
        created_at: stored.map_or(Some(created_at.unwrap_or(now)), |role| role.created_at),
    };
    let is_stored = stored.is_some_and(|stored| stored.id_pattern == role.id_pattern);
    if let Some(pattern) = role.id_pattern.clone().filter(|_| !is_stored)
        && let Err(message) = IdPattern::try_from(pattern)
    {
        member.refuse(ProblemCode::Malformed, "idPattern", format!("{message}."));
    }
    if problems.0.is_empty() {
        Ok(role)
    } else {
        Err(problems.0)
    }
}

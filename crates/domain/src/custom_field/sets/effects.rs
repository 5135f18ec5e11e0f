//! The effects of changed fields on clients: each has the number of clients concerned, and a few of their ids.

mod parents;

use entity::custom_field;
use sea_orm::{ConnectionTrait, Value};

use super::{InUse, Plan, PlannedField, UpsertCustomFieldSet, concerned};
use crate::{
    caller::Caller,
    definitions::{Definitions, Field, FieldState, Kind},
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{ConcernedClients, Problem, ProblemCode, Step},
};
use clientele_storage::db::Connection;

/// The number of values that are read at a time.
const PAGE: usize = 5_000;
/// The clients with a value of a field.
const WITH_VALUE: &str = "SELECT DISTINCT client_key FROM custom_field_value WHERE field_key = $1";

/// Finds the effects of a change of a set.
pub(super) struct Effects<'a, C> {
    pub present: &'a Definitions,
    pub used: &'a InUse,
    pub caller: &'a Caller,
    pub connection: &'a Connection<C>,
}

impl<C: ConnectionTrait> Effects<'_, C> {
    /// Adds the clients to the problems of changes that stored values don't allow.
    pub async fn of_refused(&self, input: &UpsertCustomFieldSet, mut problems: Vec<Problem>) -> Result<Vec<Problem>> {
        for problem in &mut problems {
            if problem.code == ProblemCode::NotEditable
                && let [Step::Name("fields"), Step::Index(index), Step::Name("type")] = *problem.path
                && let Some(field) = input.fields.value().and_then(|fields| fields.get(index))
                && let Some(stored) = self.present.field(&field.field_id)
            {
                problem.clients = self
                    .clients(WITH_VALUE, [stored.row.encoded_key.clone().into()])
                    .await?
                    .map(Box::new);
                problem.custom_field = Some(stored.row.field_id.as_str().into());
            }
        }
        Ok(problems)
    }

    /// Returns a warning for each effect of the plan on stored clients.
    pub async fn of(&self, plan: &Plan) -> Result<Vec<Problem>> {
        let mut warnings = Vec::new();
        for (index, field) in plan.fields.iter().enumerate() {
            let stored = self.present.field_of_key(&field.row.encoded_key);
            let key: Value = field.row.encoded_key.clone().into();
            let mut warn = |code, member: &'static str, clients: Option<ConcernedClients>, effect: &str| {
                let Some(clients) = clients else { return };
                warnings.push(Problem {
                    custom_field: Some(field.row.field_id.as_str().into()),
                    message: format!("{}: {} {effect}", field.row.field_id, concerned::have(&clients)).into(),
                    clients: Some(Box::new(clients)),
                    ..Problem::new(code, path!["fields", index, member], "")
                });
            };
            if let Some(stored) = stored {
                if stored.is_active() && !is_active(&field.row) {
                    let clients = self.clients(WITH_VALUE, [key.clone()]).await?;
                    let effect = "a value of the deactivated field, and can keep it.";
                    warn(ProblemCode::Deactivated, "state", clients, effect);
                }
                let clients = self.with_dropped_option(field, stored).await?;
                let effect = "an option that is deactivated, and can keep it.";
                warn(ProblemCode::NotAnOption, "options", clients, effect);
                let clients = self.with_lost_pair(field, stored).await?;
                let effect = "an option that is no longer available for their value of the parent, and can keep it.";
                warn(ProblemCode::NotAnOption, "options", clients, effect);
                let clients = self.without_parent(field, stored).await?;
                let effect = "a value that needs another value of the new parent field, and can keep it.";
                warn(ProblemCode::ParentRequired, "parentFieldId", clients, effect);
                let clients = self.of_other_roles(field, stored).await?;
                let effect = "a value of the field, which is no longer available to their role, and can keep it.";
                warn(ProblemCode::NotAvailable, "clientRoles", clients, effect);
                let is_narrower =
                    stored.row.pattern != field.row.pattern || stored.row.max_length != field.row.max_length;
                if is_narrower && self.used.fields.contains(&field.row.encoded_key) {
                    let member = if stored.row.pattern == field.row.pattern {
                        "maxLength"
                    } else {
                        "pattern"
                    };
                    let clients = self.with_refused_value(field, stored).await?;
                    let effect = "a value that the changed field wouldn't accept, and can keep it.";
                    warn(ProblemCode::Invalid, member, clients, effect);
                }
            }
            let clients = self.without_required(field, stored, plan).await?;
            warn(
                ProblemCode::Required,
                "required",
                clients,
                "no value of the required field yet.",
            );
        }
        Ok(warnings)
    }

    async fn clients(&self, keys: &str, values: impl IntoIterator<Item = Value>) -> Result<Option<ConcernedClients>> {
        concerned::clients(keys, values, self.caller, self.connection).await
    }

    /// The clients with an option that becomes deactivated.
    async fn with_dropped_option(&self, field: &PlannedField, stored: &Field) -> Result<Option<ConcernedClients>> {
        let active = FieldState::Active.as_str();
        let is_dropped = |value: &str| stored.option(value).is_some_and(|option| option.state == active);
        let dropped = field.options.iter().filter(|option| option.state != active);
        let dropped = dropped.filter(|option| self.used.options.contains(&option.encoded_key));
        let dropped: Vec<&str> = dropped
            .map(|option| &*option.value)
            .filter(|value| is_dropped(value))
            .collect();
        if dropped.is_empty() {
            return Ok(None);
        }
        let which = self.connection.dialect.is_one_of("value", "$2");
        let keys = format!("{WITH_VALUE} AND {which}");
        self.clients(&keys, [field.row.encoded_key.clone().into(), json(&dropped)?.into()])
            .await
    }

    /// The clients with a value of a field that is no longer available to their role.
    async fn of_other_roles(&self, field: &PlannedField, stored: &Field) -> Result<Option<ConcernedClients>> {
        let has_role = |role: &str| field.roles.iter().any(|of_field| of_field.role_key == role);
        let roles = self.present.roles.iter().map(|role| role.encoded_key.as_str());
        let lost = roles.filter(|role| stored.is_available(role) && !has_role(role));
        let lost: Vec<&str> = lost.filter(|_| !field.roles.is_empty()).collect();
        if lost.is_empty() || !self.used.fields.contains(&field.row.encoded_key) {
            return Ok(None);
        }
        let which = self.connection.dialect.is_one_of("c.client_role_key", "$2");
        let keys = format!(
            "SELECT DISTINCT v.client_key FROM custom_field_value v JOIN client c ON c.encoded_key = v.client_key \
             WHERE v.field_key = $1 AND {which}"
        );
        self.clients(&keys, [field.row.encoded_key.clone().into(), json(&lost)?.into()])
            .await
    }

    /// The clients with a value that no longer fits the length or pattern of its field.
    async fn with_refused_value(&self, field: &PlannedField, stored: &Field) -> Result<Option<ConcernedClients>> {
        let changed = Field {
            row: field.row.clone(),
            ..stored.clone()
        };
        // In the order of the primary key, which is read once in all.
        let field_key = self.connection.dialect.unindexed("field_key");
        let sql = format!(
            "SELECT client_key, group_index, value FROM custom_field_value WHERE {field_key} = $1 \
             AND client_key >= $2 AND (client_key, group_index) > ($2, $3) \
             ORDER BY client_key, group_index LIMIT {PAGE}"
        );
        let (mut last, mut refused) = ((String::new(), i32::MIN), Vec::new());
        let mut count = 0;
        let mut counted = String::new();
        loop {
            let values = [
                field.row.encoded_key.clone().into(),
                last.0.clone().into(),
                last.1.into(),
            ];
            let rows = self.connection.all(sql.as_str(), values).await?;
            for row in &rows {
                let (client_key, group_index, value): (String, i32, Option<String>) = row.try_get_many_by_index()?;
                if client_key != counted && value.is_some_and(|value| changed.accept(&value).is_err()) {
                    counted.clone_from(&client_key);
                    count += 1;
                    if refused.len() < concerned::SHOWN {
                        refused.push(client_key.clone());
                    }
                }
                last = (client_key, group_index);
            }
            if rows.len() < PAGE {
                break;
            }
        }
        let which = self.connection.dialect.is_one_of("encoded_key", "$1");
        let keys = format!("SELECT encoded_key AS client_key FROM client WHERE {which}");
        let clients = self.clients(&keys, [json(&refused)?.into()]).await?;
        Ok(clients.map(|clients| ConcernedClients { count, ..clients }))
    }

    /// The clients without a value of a field that becomes required of their role; in a grouped set, those with a group
    /// without one.
    async fn without_required(
        &self,
        field: &PlannedField,
        stored: Option<&Field>,
        plan: &Plan,
    ) -> Result<Option<ConcernedClients>> {
        let planned = Field {
            row: field.row.clone(),
            kind: Kind::parse(&field.row.kind).unwrap_or(Kind::Text),
            options: Vec::new(),
            roles: field.roles.clone(),
            set: plan.set.clone().into(),
        };
        let roles = self.present.roles.iter().map(|role| role.encoded_key.as_str());
        let was_demanded = |role: &str| stored.is_some_and(|stored| stored.is_demanded(role));
        let roles: Vec<&str> = roles
            .filter(|role| planned.is_demanded(role) && !was_demanded(role))
            .collect();
        if roles.is_empty() {
            return Ok(None);
        }
        let which = self.connection.dialect.is_one_of("c.client_role_key", "$2");
        let without = "NOT EXISTS (SELECT 1 FROM custom_field_value v WHERE v.field_key = $1";
        let key: Value = field.row.encoded_key.clone().into();
        let roles: Value = json(&roles)?.into();
        if !planned.is_grouped() {
            let keys = format!(
                "SELECT c.encoded_key AS client_key FROM client c \
                 WHERE {which} AND {without} AND v.client_key = c.encoded_key)"
            );
            return self.clients(&keys, [key, roles]).await;
        }
        let keys = format!(
            "SELECT DISTINCT o.client_key FROM custom_field_value o JOIN custom_field f ON f.encoded_key = o.field_key \
             JOIN client c ON c.encoded_key = o.client_key WHERE f.set_key = $3 AND {which} \
             AND {without} AND v.client_key = o.client_key AND v.group_index = o.group_index)"
        );
        self.clients(&keys, [key, roles, plan.set.encoded_key.clone().into()])
            .await
    }
}

fn is_active(row: &custom_field::Model) -> bool {
    row.state == FieldState::Active.as_str()
}

fn json(texts: &[impl AsRef<str>]) -> Result<String> {
    let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
    serde_json::to_string(&texts).map_err(Error::internal)
}

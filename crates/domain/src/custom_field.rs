//! Custom fields, which hold the data that a bank defines for its clients; client roles, and templates of
//! identification documents.
//!
//! Definitions are few and read with every client, so they are kept in memory; see [`definitions`].

mod document_templates;
mod roles;
mod sets;

pub use document_templates::UpsertIdDocumentTemplate;
pub use roles::UpsertClientRole;
pub use sets::{
    CustomFieldInput, CustomFieldOptionInput, CustomFieldRoleInput, CustomFieldSetInput, UpsertCustomFieldSet,
};

use chrono::{DateTime, Utc};

use crate::{
    audit::AuditLog,
    caller::{Caller, Permission},
    definitions::{self, ChangedDefinitions},
};
use clientele_core::{error::Result, problem::Problem};
use clientele_storage::db::Database;

/// Changes custom field sets, client roles and templates of identification documents.
#[derive(Clone, Debug)]
pub struct CustomFields {
    db: Database,
    audit: AuditLog,
}

impl CustomFields {
    pub fn new(db: Database, audit: AuditLog) -> Self {
        Self { db, audit }
    }

    /// Creates the set that `input` describes, or changes the one it names.
    ///
    /// # Errors
    /// Every problem as the inner error, internal errors as the outer one. Nothing is written with either.
    pub async fn upsert_set(
        &self,
        caller: &Caller,
        input: &UpsertCustomFieldSet,
        now: DateTime<Utc>,
    ) -> Result<Result<ChangedDefinitions, Vec<Problem>>> {
        caller.require(Permission::ManageCustomFields)?;
        let input = input.counted(caller, &self.db).await?;
        definitions::change(&self.db, &self.audit, caller, &input, now).await
    }

    /// Creates the role that `input` describes, or changes the one it names.
    ///
    /// # Errors
    /// Those of [`Self::upsert_set`].
    pub async fn upsert_role(
        &self,
        caller: &Caller,
        input: &UpsertClientRole,
        now: DateTime<Utc>,
    ) -> Result<Result<ChangedDefinitions, Vec<Problem>>> {
        caller.require(Permission::ManageCustomFields)?;
        definitions::change(&self.db, &self.audit, caller, input, now).await
    }

    /// Creates the template of identification documents that `input` describes, or changes the one it names.
    ///
    /// # Errors
    /// Those of [`Self::upsert_set`].
    pub async fn upsert_document_template(
        &self,
        caller: &Caller,
        input: &UpsertIdDocumentTemplate,
        now: DateTime<Utc>,
    ) -> Result<Result<ChangedDefinitions, Vec<Problem>>> {
        caller.require(Permission::ManageCustomFields)?;
        definitions::change(&self.db, &self.audit, caller, input, now).await
    }
}

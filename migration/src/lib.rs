//! The migrations of the tables, step by step. Never imports entities: a step must keep its meaning.
//!
//! To add one, write `m<date>_<what>.rs` and list it below. Statements are SQL for both databases; [`portable`] inserts
//! the few parts that differ. Statements that [`portable`] can't split run with [`dry_run::execute`]. A step must not
//! rewrite or lock a table of ten million rows for long.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

pub mod distribution;
pub mod dry_run;
mod m20261122_clients;
mod m20261122_messages;
mod m20261122_templates;
mod m20261123_history;
mod m20261123_idempotency;
mod m20261123_users;
mod m20261124_creators;
mod m20261126_rare_actions;
mod m20261128_user_names;
mod m20261128_view_metrics;
mod m20261129_branches;
mod m20261129_client_search;
mod m20261129_dependent_fields;
mod m20261129_document_templates;
mod m20261129_erased_requests;
mod m20261129_field_roles;
mod m20261129_merge_permission;
mod m20261129_merged_clients;
mod m20261129_options;
mod m20261129_role_creation;
mod m20261129_role_rules;
mod m20261129_state_permissions;
mod m20261129_unique_values;
mod m20261130_delivery_policy;
mod m20261130_receipts_permissions;
mod m20261130_receipts_tables;
mod m20261130_sessions;
mod m20261201_change_feed;

pub use sea_orm_migration::MigratorTrait;

pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_clients::Migration),
            Box::new(m20261122_messages::Migration),
            Box::new(m20261122_templates::Migration),
            Box::new(m20261123_history::Migration),
            Box::new(m20261123_idempotency::Migration),
            Box::new(m20261123_users::Migration),
            Box::new(m20261124_creators::Migration),
            Box::new(m20261126_rare_actions::Migration),
            Box::new(m20261128_view_metrics::Migration),
            Box::new(m20261128_user_names::Migration),
            Box::new(m20261129_options::Migration),
            Box::new(m20261129_unique_values::Migration),
            Box::new(m20261129_field_roles::Migration),
            Box::new(m20261129_dependent_fields::Migration),
            Box::new(m20261129_role_rules::Migration),
            Box::new(m20261129_document_templates::Migration),
            Box::new(m20261129_state_permissions::Migration),
            Box::new(m20261129_client_search::Migration),
            Box::new(m20261129_merged_clients::Migration),
            Box::new(m20261129_merge_permission::Migration),
            Box::new(m20261129_role_creation::Migration),
            Box::new(m20261129_erased_requests::Migration),
            Box::new(m20261129_branches::Migration),
            Box::new(m20261130_sessions::Migration),
            Box::new(m20261130_delivery_policy::Migration),
            Box::new(m20261130_receipts_tables::Migration),
            Box::new(m20261130_receipts_permissions::Migration),
            Box::new(m20261201_change_feed::Migration),
        ]
    }
}

/// Runs the statements of `script` (separated by `;`) after replacing `{text}` (a text compared by code point),
/// `{instant}` and `{double}` with the database's types. On SQLite a double is text: a REAL keeps only 15 digits.
async fn portable(manager: &SchemaManager<'_>, script: &str) -> Result<(), DbErr> {
    let (text, instant, double) = match manager.get_database_backend() {
        DbBackend::Sqlite => ("TEXT", "TEXT", "TEXT"),
        _ => ("TEXT COLLATE \"C\"", "TIMESTAMPTZ", "DOUBLE PRECISION"),
    };
    let script = script
        .replace("{text}", text)
        .replace("{instant}", instant)
        .replace("{double}", double);
    for statement in script
        .split(';')
        .map(str::trim)
        .filter(|statement| !statement.is_empty())
    {
        dry_run::execute(manager.get_connection(), statement).await?;
    }
    Ok(())
}

//! Definitions of custom fields and of client roles.

mod counted;
mod definitions;
mod dependent;
mod document_templates;
mod effects;
mod groups;
mod matching;
mod races;
mod role_rules;
mod roles;
mod texts;
mod types;
mod unique;
mod unique_races;

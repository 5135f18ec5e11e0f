//! Definitions of custom fields and of client roles.

mod definitions;
mod texts;
mod types;
mod unique;

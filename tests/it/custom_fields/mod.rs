//! Definitions of custom fields and of client roles.

mod changes;
mod definitions;

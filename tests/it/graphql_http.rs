//! GraphQL over HTTP: malformed and hostile requests, cross-site requests, timeouts, outages, and the schema.

mod bad_input;
mod cross_site;
mod default_settings;
mod hostile;
mod input_fields;
mod schema;
mod timeouts;
mod unavailable_database;

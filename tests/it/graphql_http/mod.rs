//! The shell around the GraphQL door: what other sites' pages may send, whose pages are let in, and what happens to requests
//! that take too long.

mod bad_input;
mod cross_site;
mod default_settings;
mod hostile;
mod input_fields;
mod schema;
mod timeouts;
mod unavailable_database;

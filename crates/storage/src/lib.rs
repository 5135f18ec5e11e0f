//! Access to the database: connections, transactions with their retries, and pages of lists, on SQLite and PostgreSQL.

pub mod db;
pub mod paging;

//! Reads through GraphQL: pages, filters, totals, nodes, selections, and the SQL statements they take.

mod filters;
mod nodes;
mod pages;
mod selections;
pub mod statements;
mod totals;

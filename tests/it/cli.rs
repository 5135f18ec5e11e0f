//! The commands of the started program.

mod backup;
mod health;
mod missing_database;
mod settings;
mod transfer;
mod usage;

pub use transfer::assert_copied;

//! The commands of the started program.

mod audit_export;
mod backup;
mod doctor;
mod health;
mod init;
mod manual;
mod migrate;
mod missing_database;
mod settings;
mod transfer;
mod usage;
mod version;

pub use transfer::assert_copied;

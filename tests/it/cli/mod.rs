//! The program started for real: what it says when it can't, what it says when it can, and how it ends.

mod backup;
mod missing_database;
mod settings;
mod usage;

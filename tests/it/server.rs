//! The started program as a server: start, logs, metrics, memory, database files and shutdown.

pub mod database_files;
mod distribution;
pub mod distribution_setting;
mod failed_start;
mod json_log;
mod logging;
mod memory;
mod metrics;
mod postgres_start;
mod running;
mod service;
mod sqlite_start;

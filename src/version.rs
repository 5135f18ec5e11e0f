//! The version of this build, which `build.rs` finds out.

/// As in `0.1.0 (abcdef123456 2026-11-30)`: with the commit and its date. A debug build has neither.
pub const TEXT: &str = env!("PROGRAM_VERSION");

/// The commit, or `unknown`.
pub const COMMIT: &str = env!("PROGRAM_COMMIT");

pub const NUMBER: &str = env!("CARGO_PKG_VERSION");

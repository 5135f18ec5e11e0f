//! The database: connections, and the only begin, commit and retry.

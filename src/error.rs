//! Surprises: what went wrong although the caller did nothing wrong. Expected outcomes are `client::Problem`s instead.
//!
//! Neither form shows a caller what the database said; doors turn a variant into their own code and sentence.

/// Why an operation could not be carried out. Nothing has been written when a write returns it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Concurrent changes kept colliding until the bounded retries were used up. Trying again may help.
    #[error("concurrent changes could not be serialised")]
    Conflict,
    /// The database can't be reached, or has no connection free in time.
    #[error("the database is unavailable")]
    Unavailable,
    /// The database answers but accepts no writes.
    #[error("the database is read-only")]
    ReadOnly,
    /// Anything else: a defect of this server or of its database.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

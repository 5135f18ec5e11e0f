//! The GraphQL door.

pub mod answer;
pub mod door;
pub mod error;
pub mod http;
pub mod limits;
pub mod prepare;
#[cfg(test)]
mod toy;

//! Clients: the rules of reading and writing them, the same for every API.
//!
//! Has no wire format. To add a member of a client: a migration, `entity::client`, [`ClientInput`] with its line in
//! `check`, and the objects of the APIs that show it; the compiler asks for the rest.

pub mod aggregate;
mod erase;
mod found;
mod pattern;
mod search;
mod seed;
mod settings;

pub use aggregate::{Aggregate, Clients, Wanted};
pub use erase::Erased;
pub use found::Found;
pub use pattern::IdPattern;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub use search::fuzzing;
pub use search::{ClientFilter, ClientOrder, ClientOrderField, ClientPage, CustomFieldFilter, Exactly, OrderDirection};
pub use seed::has_other_clients;
pub use settings::ClientSettings;

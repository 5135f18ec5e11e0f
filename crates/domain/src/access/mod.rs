//! Who is calling, and what they may do. Every entry point of the domain takes a [`Caller`] and asks it first, so that no door
//! can forget to. Users and tokens, their credentials included, are kept here; how a request carries them is the doors' business.

mod account;
mod accounts;
mod asking;
mod caller;
mod first;
mod grant;
pub mod hash_queue;
mod listing;
pub mod password;
mod permission;
mod present;
mod proof;
mod reads;
mod rights;
mod sign_in;
pub mod throttle;
mod token;
mod unread;
mod user;
mod verified;

pub use account::Account;
pub use accounts::Accounts;
pub use caller::{Caller, CallerKind, Door};
pub use first::{FIRST, any_user, make_first_user};
pub use listing::Listing;
pub use password::RequestPlace;
pub use permission::{Permission, Permissions};
pub use proof::PasswordProof;
pub use reads::Clock;
pub use rights::{Rights, Sets};
pub use sign_in::{Attempt, Verdict};
pub use token::{
    BY_CREATION, CreateToken, MOST_DAYS, PREFIX, RevokeToken, Token, create_token, revoke_token, tokens, tokens_by_key,
};
pub use unread::{Readable, Unread};
pub use user::{
    BY_NAME, ChangePassword, DeleteUser, UpsertUser, User, change_password, change_user, create_user, delete_user,
    password_is_initial, upsert_user, users, users_by_key,
};

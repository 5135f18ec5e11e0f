//! The program started for real: what it says when it can't, what it says when it can, and how it ends.

mod notify;
mod refusals;
mod running;
mod server;
mod users;

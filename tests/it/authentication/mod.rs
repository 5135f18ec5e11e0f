//! Who is let in, and as whom: credentials, users, tokens and the tokens of an issuer, through the real doors.

mod addresses;
mod algorithms;
mod credentials;
mod first;
mod issued;
mod managed;
mod queue;
mod rotation;
mod strangers;

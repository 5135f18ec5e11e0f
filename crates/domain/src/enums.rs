//! Closed lists that are stored and answered as texts.

mod client;
mod message;

pub use self::{
    client::{ClientState, Gender, Language},
    message::{Channel, Event, MessageState, Reason},
};

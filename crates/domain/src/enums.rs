//! Enums that are stored and sent as texts.

mod client;
mod message;

pub use self::{
    client::{ClientState, Gender, Language},
    message::{Channel, Event, MessageState, Provider, Reason, ReceiptStatus, SuppressionReason},
};

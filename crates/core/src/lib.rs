//! Types that every part of clientele shares: errors, problems of an input, scalars, texts, secrets, the budget of a
//! request and the queue that shares resources fairly by caller. Knows no client, no SQL and no HTTP.

pub mod budget;
pub mod deadline;
pub mod error;
pub mod fair_queue;
pub mod flow;
pub mod histogram;
pub mod json_check;
pub mod mail_address;
pub mod network;
pub mod problem;
pub mod scalar;
pub mod secret;
pub mod text;
mod text_enum;

//! Types shared by all crates of clientele: errors, input problems, scalars, texts, secrets, the request budget and the
//! fair queue, and tracing. Knows no client, no SQL and no HTTP.

pub mod budget;
pub mod deadline;
pub mod error;
pub mod fair_queue;
pub mod flow;
pub mod histogram;
pub mod json_check;
pub mod log_throttle;
pub mod mail_address;
pub mod network;
pub mod phone_number;
pub mod problem;
pub mod scalar;
pub mod secret;
pub mod spelling;
pub mod text;
mod text_enum;
pub mod trace;

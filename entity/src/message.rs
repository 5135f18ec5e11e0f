//! A message to a client, from being queued to the record of its outcome.

use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, DeriveEntityModel, Serialize, Deserialize)]
#[sea_orm(table_name = "message")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub client_key: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub encoded_key: String,
    pub event: String,
    pub channel: String,
    pub template_key: String,
    /// The template's own id, which remains after the template is deleted.
    pub template_id: String,
    /// The version of the variant from which it is rendered.
    pub variant_key: String,
    pub language: String,
    /// The recipient in the client's row when the message was queued.
    pub recipient: String,
    /// A JSON object: the values of the placeholders at the time of the event. None once the text has been removed.
    pub placeholders: Option<String>,
    pub state: String,
    /// Attempts that ended with an answer about this message.
    pub attempts: i32,
    #[serde(with = "crate::instant")]
    pub created_at: DateTimeUtc,
    /// The last time it was queued.
    #[serde(with = "crate::instant")]
    pub queued_at: DateTimeUtc,
    /// The end of the first attempt since then with an answer about this message. Its age counts from here.
    #[serde(with = "crate::instant::option")]
    pub first_attempt_at: Option<DateTimeUtc>,
    /// The time to send it. While it is being sent, the time when other workers may claim it. None when nothing is left
    /// to do.
    #[serde(with = "crate::instant::option")]
    pub due_at: Option<DateTimeUtc>,
    /// Identifies the claim under which it is being sent.
    pub lease: Option<String>,
    #[serde(with = "crate::instant::option")]
    pub sent_at: Option<DateTimeUtc>,
    #[serde(with = "crate::instant::option")]
    pub failed_at: Option<DateTimeUtc>,
    /// The channel's provider that accepted it. None before, and for messages of earlier versions.
    pub provider: Option<String>,
    /// The provider's id for it.
    pub provider_id: Option<String>,
    /// The reason why the last attempt failed, or why the message was suppressed or has bounced.
    pub reason: Option<String>,
    /// The provider's own text for that reason.
    pub detail: Option<String>,
    /// The time at which the recipient got it, as a receipt says.
    #[serde(with = "crate::instant::option")]
    pub delivered_at: Option<DateTimeUtc>,
    /// The arrival of the receipt that decided the state.
    #[serde(with = "crate::instant::option")]
    pub receipt_at: Option<DateTimeUtc>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

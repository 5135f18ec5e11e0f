//! A message to a client, from the moment it is owed to the record of what came of it.

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
    /// The template's own id: what is left of it once it is deleted.
    pub template_id: String,
    /// The version of the variant that it is written from.
    pub variant_key: String,
    pub language: String,
    /// As the client's row had it when the message was queued.
    pub recipient: String,
    /// A JSON object: what each placeholder stands for, as of the event. None once the text has been removed.
    pub placeholders: Option<String>,
    pub state: String,
    /// Attempts that have ended with an answer about this message.
    pub attempts: i32,
    #[serde(with = "crate::instant")]
    pub created_at: DateTimeUtc,
    /// When it was last given to the workers.
    #[serde(with = "crate::instant")]
    pub queued_at: DateTimeUtc,
    /// When the first attempt since then ended with an answer about this message: what its age is counted from.
    #[serde(with = "crate::instant::option")]
    pub first_attempt_at: Option<DateTimeUtc>,
    /// When to send it; while it is being sent, when others may take it over. None when nothing is left to do.
    #[serde(with = "crate::instant::option")]
    pub due_at: Option<DateTimeUtc>,
    /// Names the claim under which it is being sent.
    pub lease: Option<String>,
    #[serde(with = "crate::instant::option")]
    pub sent_at: Option<DateTimeUtc>,
    #[serde(with = "crate::instant::option")]
    pub failed_at: Option<DateTimeUtc>,
    /// The name that the provider gave it.
    pub provider_id: Option<String>,
    /// Why the last attempt failed.
    pub reason: Option<String>,
    /// The provider's own words on that.
    pub detail: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

//! Removes the recipients of a removed client from the suppression list: they are personal data. A recipient that
//! another client has, too, stays.

use std::collections::BTreeSet;

use entity::client;

use super::list::{Recipient, listed};
use crate::{
    client::search::folding::{fold, phone},
    enums::Channel,
    message_guard::Recipients,
};
use clientele_core::error::{Error, Result};
use clientele_storage::db::Transaction;

/// Limit of the clients whose recipients are compared: their folded forms are equal already.
const MOST_COMPARED: usize = 100;

/// The recipients that a removed client had.
#[derive(Debug, Default)]
pub(crate) struct FormerRecipients(Vec<(Channel, String)>);

impl FormerRecipients {
    pub fn of(client: &client::Model) -> Self {
        let mut recipients = Self::default();
        recipients.add(Channel::Email, client.email_address.as_deref());
        recipients.add(Channel::Sms, client.mobile_phone1.as_deref());
        recipients.add(Channel::Sms, client.mobile_phone2.as_deref());
        recipients
    }

    pub fn add(&mut self, channel: Channel, recipient: Option<&str>) {
        let Some(recipient) = recipient.filter(|recipient| !recipient.trim().is_empty()) else {
            return;
        };
        if !self.0.iter().any(|known| *known == (channel, recipient.to_owned())) {
            self.0.push((channel, recipient.to_owned()));
        }
    }
}

/// Removes the recipients from the list, unless another client has them. The client itself must have been removed.
/// Takes one statement if none of them is on the list.
///
/// Another client's phone number is recognised in the same notation, and with its country code.
pub(crate) async fn forget(former: &FormerRecipients, recipients: Recipients, transaction: &Transaction) -> Result<()> {
    let FormerRecipients(texts) = former;
    let normal = |(channel, text): &(Channel, String)| Recipient {
        channel: *channel,
        recipient: recipients.normalise(*channel, text),
    };
    let all: Vec<Recipient> = texts.iter().map(normal).collect();
    if all.is_empty() {
        return Ok(());
    }
    for listed in listed(transaction, &all).await? {
        let same = texts.iter().filter(|text| normal(text) == listed);
        let same = same.map(|(_, text)| &**text).collect();
        let Recipient { channel, recipient } = listed;
        if !is_of_a_client(channel, &recipient, same, recipients, transaction).await? {
            let sql = "DELETE FROM suppression WHERE channel = $1 AND recipient = $2";
            transaction
                .run(sql, [channel.as_str().into(), recipient.into()])
                .await?;
        }
    }
    Ok(())
}

/// Returns true if a client has this recipient, which was also written as these texts.
async fn is_of_a_client(
    channel: Channel,
    recipient: &str,
    texts: Vec<&str>,
    recipients: Recipients,
    transaction: &Transaction,
) -> Result<bool> {
    let dialect = transaction.dialect;
    let texts = texts.into_iter().chain([recipient]);
    let (folded, columns): (BTreeSet<String>, &[_]) = match channel {
        Channel::Email => (texts.map(fold).collect(), &[("email", "email_address")]),
        Channel::Sms => (
            texts.filter_map(phone).collect(),
            &[("mobile_phone1", "mobile_phone1"), ("mobile_phone2", "mobile_phone2")],
        ),
    };
    let folded = serde_json::to_string(&folded).map_err(Error::internal)?;
    for (search, column) in columns {
        let which = dialect.is_one_of(&format!("s.{search}"), "$1");
        let sql = format!(
            "SELECT c.{column} FROM client_search s JOIN client c ON c.encoded_key = s.client_key WHERE {which} \
             LIMIT {MOST_COMPARED}"
        );
        for row in transaction.all(sql, [folded.as_str().into()]).await? {
            let stored: Option<String> = row.try_get_by_index(0)?;
            if stored.is_some_and(|stored| recipients.normalise(channel, &stored) == recipient) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

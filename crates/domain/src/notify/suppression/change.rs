//! Adds recipients to the suppression list, and removes them.

use async_graphql::InputObject;
use chrono::{DateTime, SubsecRound, Utc};
use entity::{Table, suppression};
use sea_orm::FromQueryResult;

use super::{Suppressions, require_all_clients};
use crate::{
    audit::{Action, AuditLog, Chain, Change, Members, Subject},
    caller::{Caller, Permission},
    enums::{Channel, SuppressionReason},
};
use clientele_core::{
    error::{Error, Result},
    path,
    problem::{Message, Problem, ProblemCode},
    scalar::new_key,
};
use clientele_storage::db::{Step, Transaction, Work};

/// Adds a recipient to the suppression list.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "AddSuppressionInput")]
pub struct AddSuppression {
    /// The channel.
    pub channel: Channel,
    /// The e-mail address, or the phone number with its country code.
    pub recipient: String,
    /// The reason; MANUAL by default.
    pub reason: Option<SuppressionReason>,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

/// Removes a recipient from the suppression list.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "RemoveSuppressionInput")]
pub struct RemoveSuppression {
    /// The channel.
    pub channel: Channel,
    /// The recipient, in any notation.
    pub recipient: String,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

impl Suppressions {
    /// Adds a recipient to the list. Returns its entry, and false if it was on the list before: nothing changes then.
    ///
    /// # Errors
    /// The problem as the inner error. [`Error::Forbidden`] without MANAGE_SUPPRESSIONS, [`Error::LimitedRights`] for a
    /// caller who is limited to branches or centres.
    pub async fn add(
        &self,
        caller: &Caller,
        input: &AddSuppression,
        now: DateTime<Utc>,
    ) -> Result<Result<(suppression::Model, bool), Vec<Problem>>> {
        caller.require(Permission::ManageSuppressions)?;
        require_all_clients(caller)?;
        let Some(recipient) = self.recipients.parse(input.channel, &input.recipient) else {
            return Ok(Err(vec![self.not_a_recipient(input.channel)]));
        };
        let row = suppression::Model {
            encoded_key: new_key(),
            channel: input.channel.as_str().to_owned(),
            recipient,
            reason: input.reason.unwrap_or(SuppressionReason::Manual).as_str().to_owned(),
            created_at: now.trunc_subsecs(6),
            caller_kind: caller.kind.as_str().to_owned(),
            caller_id: caller.id.to_string(),
            caller_name: caller.name.to_string(),
            client_key: None,
        };
        let audit = &self.audit;
        self.db.write(&Addition { audit, caller, row }).await.map(Ok)
    }

    /// Removes a recipient from the list, and returns its entry.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub async fn remove(
        &self,
        caller: &Caller,
        input: &RemoveSuppression,
        now: DateTime<Utc>,
    ) -> Result<Result<suppression::Model, Vec<Problem>>> {
        caller.require(Permission::ManageSuppressions)?;
        require_all_clients(caller)?;
        let removal = Removal {
            audit: &self.audit,
            caller,
            channel: input.channel,
            recipient: self.recipients.normalise(input.channel, &input.recipient),
            now,
        };
        if removal.recipient.contains('\0') {
            return Ok(Err(vec![missing()]));
        }
        self.db.write(&removal).await
    }

    fn not_a_recipient(&self, channel: Channel) -> Problem {
        let number = "recipient must be a phone number with + and its country code";
        let (code, message) = match (channel, self.recipients.region()) {
            (Channel::Email, _) => (
                ProblemCode::NotAnEmailAddress,
                "recipient must be an e-mail address, as in ines@bank.test.".to_owned(),
            ),
            (Channel::Sms, None) => (
                ProblemCode::Invalid,
                format!("{number}. Numbers without a country code need the setting notifications.sms.default_region."),
            ),
            (Channel::Sms, Some(region)) => (
                ProblemCode::Invalid,
                format!(
                    "{number}, or a number of {}, which is notifications.sms.default_region.",
                    region.as_ref()
                ),
            ),
        };
        Problem::new(code, path!["recipient"], message)
    }
}

fn missing() -> Problem {
    let message =
        Message::from("This recipient isn't on the suppression list of this channel").listed_by("suppressions");
    Problem::new(ProblemCode::NotFound, path!["recipient"], message)
}

struct Addition<'a> {
    audit: &'a AuditLog,
    caller: &'a Caller,
    row: suppression::Model,
}

impl Work for Addition<'_> {
    type Output = (suppression::Model, bool);

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        let (table, columns) = (suppression::Entity::table(), suppression::Entity::columns());
        let sql = format!(
            "INSERT INTO {table} ({}) {} ON CONFLICT (channel, recipient) DO NOTHING RETURNING 1",
            columns.join(", "),
            transaction.dialect.rows_of_json(table, &columns, "$1")
        );
        let row = serde_json::to_string(&[&self.row]).map_err(Error::internal)?;
        if transaction.one(sql, [row.into()]).await?.is_none() {
            return match find(&self.row.channel, &self.row.recipient, transaction).await? {
                Some(stored) => Ok(Step::Discard((stored, false))),
                // Another transaction has removed it just now.
                None => Ok(Step::Again),
            };
        }
        record(
            self.audit,
            self.caller,
            &self.row,
            Action::Created,
            self.row.created_at,
            transaction,
        )
        .await?;
        Ok(Step::Commit((self.row.clone(), true)))
    }
}

struct Removal<'a> {
    audit: &'a AuditLog,
    caller: &'a Caller,
    channel: Channel,
    recipient: String,
    now: DateTime<Utc>,
}

impl Work for Removal<'_> {
    type Output = Result<suppression::Model, Vec<Problem>>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        let sql = format!(
            "DELETE FROM suppression WHERE channel = $1 AND recipient = $2 RETURNING {}",
            suppression::Entity::columns().join(", ")
        );
        let values = [self.channel.as_str().into(), (&self.recipient).into()];
        let Some(row) = transaction.one(sql, values).await? else {
            return Ok(Step::Discard(Err(vec![missing()])));
        };
        let row = suppression::Model::from_query_result(&row, "")?;
        record(self.audit, self.caller, &row, Action::Deleted, self.now, transaction).await?;
        Ok(Step::Commit(Ok(row)))
    }
}

async fn find(channel: &str, recipient: &str, transaction: &Transaction) -> Result<Option<suppression::Model>> {
    let columns = suppression::Entity::columns().join(", ");
    let sql = format!("SELECT {columns} FROM suppression WHERE channel = $1 AND recipient = $2");
    let row = transaction.one(sql, [channel.into(), recipient.into()]).await?;
    Ok(row
        .map(|row| suppression::Model::from_query_result(&row, ""))
        .transpose()?)
}

/// Records a change of the list. The record doesn't have the recipient: the contents of this chain can't be erased.
pub(super) async fn record(
    audit: &AuditLog,
    caller: &Caller,
    row: &suppression::Model,
    action: Action,
    now: DateTime<Utc>,
    transaction: &Transaction,
) -> Result<()> {
    let mut members = Vec::new();
    let mut changed = Members::new(&mut members);
    for (name, value) in [("channel", &row.channel), ("reason", &row.reason)] {
        let (before, after) = match action {
            Action::Deleted => (Some(&**value), None),
            _ => (None, Some(&**value)),
        };
        changed.text(name, before, after);
    }
    let change = Change {
        chain: Chain::Definitions,
        subject: Subject::Suppression,
        subject_key: &row.encoded_key,
        action,
        members,
    };
    audit.record(transaction, caller, &change, now).await
}

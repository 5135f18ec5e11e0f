//! Deletes a message template. Messages that were written from it keep their data.

use async_graphql::InputObject;
use chrono::{DateTime, Utc};

use super::recorded;
use crate::{
    Clientele,
    audit::{Action, Chain, Change, Subject},
    caller::{Caller, Permission},
    definitions::{Definitions, bump_version, lock_definitions},
};
use clientele_core::{
    error::Result,
    path,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::{Step, Transaction, Work};

/// Deletes a message template.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "DeleteMessageTemplateInput")]
pub struct DeleteMessageTemplate {
    /// The id of the template.
    pub template_id: String,
    /// Returned unchanged in the payload.
    pub client_mutation_id: Option<String>,
}

/// Deletes a template and returns its key.
pub async fn delete_message_template(
    clientele: &Clientele,
    caller: &Caller,
    input: &DeleteMessageTemplate,
    now: DateTime<Utc>,
) -> Result<Result<String, Vec<Problem>>> {
    caller.needs(Permission::ManageTemplates)?;
    let work = Delete {
        clientele,
        caller,
        input,
        now,
    };
    clientele.db.write(&work).await
}

struct Delete<'a> {
    clientele: &'a Clientele,
    caller: &'a Caller,
    input: &'a DeleteMessageTemplate,
    now: DateTime<Utc>,
}

impl Work for Delete<'_> {
    type Output = Result<String, Vec<Problem>>;

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<Self::Output>> {
        lock_definitions(transaction).await?;
        let definitions = Definitions::load(transaction).await?;
        let Some(template) = definitions.template(&self.input.template_id) else {
            let message =
                "There is no message template with this id: the query messageTemplates lists those there are.";
            let problem = Problem::new(ProblemCode::NotFound, path!["templateId"], message);
            return Ok(Step::Discard(Err(vec![problem])));
        };
        let key = template.row.encoded_key.clone();
        let retire = "UPDATE message_variant SET current = FALSE WHERE template_key = $1 AND current";
        for sql in [retire, "DELETE FROM message_template WHERE encoded_key = $1"] {
            transaction.run(sql, [key.as_str().into()]).await?;
        }
        bump_version(transaction).await?;
        let change = Change {
            chain: Chain::Definitions,
            subject: Subject::MessageTemplate,
            subject_key: &key,
            action: Action::Deleted,
            members: recorded::members(Some(&recorded::state(template)), None, &definitions),
        };
        let history = &self.clientele.history;
        history.record(transaction, self.caller, &change, self.now).await?;
        Ok(Step::Commit(Ok(key)))
    }
}

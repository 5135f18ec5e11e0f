//! Deletes a message template. Messages that were written from it keep their data.

use async_graphql::InputObject;

use super::recorded;
use crate::{
    audit::{Action, Subject},
    caller::Caller,
    definitions::{Applied, DefinitionChange, DefinitionInput, Definitions},
};
use clientele_core::{
    error::Result,
    path,
    problem::{Message, Problem, ProblemCode},
};
use clientele_storage::db::Transaction;

/// Deletes a message template.
#[derive(InputObject, Clone, Debug)]
#[graphql(name = "DeleteMessageTemplateInput")]
pub struct DeleteMessageTemplate {
    /// The ID of the template.
    pub template_id: String,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

impl DefinitionInput for DeleteMessageTemplate {
    async fn apply(
        &self,
        _: &Caller,
        present: &Definitions,
        transaction: &Transaction,
    ) -> Result<Result<Applied, Vec<Problem>>> {
        let Some(template) = present.template(&self.template_id) else {
            let message = Message::from("There is no message template with this id").listed_by("messageTemplates");
            let problem = Problem::new(ProblemCode::NotFound, path!["templateId"], message);
            return Ok(Err(vec![problem]));
        };
        let key = template.row.encoded_key.clone();
        let retire = "UPDATE message_variant SET current = FALSE WHERE template_key = $1 AND current";
        for sql in [retire, "DELETE FROM message_template WHERE encoded_key = $1"] {
            transaction.run(sql, [key.as_str().into()]).await?;
        }
        let change = DefinitionChange {
            subject: Subject::MessageTemplate,
            key: key.clone(),
            action: Action::Deleted,
            members: recorded::members(Some(&recorded::state(template)), None, present),
        };
        Ok(Ok(Applied {
            key,
            changes: vec![change],
        }))
    }
}

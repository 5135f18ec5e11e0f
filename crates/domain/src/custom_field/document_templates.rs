//! Creates and changes templates of identification documents.

use async_graphql::{InputObject, MaybeUndefined};
use chrono::{DateTime, Utc};
use entity::id_document_template;
use serde::Serialize;

use crate::{
    audit::{Action, Members, Subject},
    caller::Caller,
    definitions::{Applied, DefinitionChange, DefinitionInput, Definitions},
    member::{Problems, Scalars},
};
use clientele_core::{
    error::Result,
    problem::{Problem, ProblemCode},
};
use clientele_storage::db::Transaction;

/// The limit of the number of templates.
const MOST: usize = 1_000;

/// Creates a template of identification documents, or changes the existing template with this `templateId`. Stored
/// documents stay as they are.
#[derive(InputObject, Serialize, Clone, Debug)]
#[graphql(name = "UpsertIdDocumentTemplateInput")]
#[serde(rename_all = "camelCase")]
pub struct UpsertIdDocumentTemplate {
    /// The ID of the template, up to 32 characters.
    pub template_id: String,
    /// The key of a new template: 1 to 32 letters and digits. Omit it to have one generated.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub encoded_key: MaybeUndefined<String>,
    /// The kind of document, up to 255 characters. Required on creation. Documents of the template must have it.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub document_type: MaybeUndefined<String>,
    /// The authority that issues the documents, up to 255 characters. If there is one, documents of the template must
    /// have it, and new ones get it by default.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub issuing_authority: MaybeUndefined<String>,
    /// The form of the number, up to 255 characters: `#` is a digit, `@` a letter, `$` either, any other character
    /// itself. Null for any number.
    #[serde(skip_serializing_if = "MaybeUndefined::is_undefined")]
    pub pattern: MaybeUndefined<String>,
    /// True if every client must have a document of the template, which is required on creation and in each list of
    /// documents. False by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mandatory: Option<bool>,
    /// False if documents can't name the template any more. True by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// An ID of your choice, which the payload returns unchanged.
    #[serde(skip)]
    pub client_mutation_id: Option<String>,
}

impl DefinitionInput for UpsertIdDocumentTemplate {
    async fn apply(
        &self,
        _: &Caller,
        present: &Definitions,
        transaction: &Transaction,
        _: DateTime<Utc>,
    ) -> Result<Result<Applied, Vec<Problem>>> {
        let template = match check(self, present) {
            Ok(template) => template,
            Err(problems) => return Ok(Err(problems)),
        };
        let key = template.encoded_key.clone();
        let before = present.document_template_of_key(&key);
        let mut changes = Vec::new();
        if before != Some(&template) {
            transaction.put::<id_document_template::Entity>(&[&template]).await?;
            changes.push(change(before, &template));
        }
        Ok(Ok(Applied {
            key,
            changes,
            warnings: Vec::new(),
        }))
    }
}

fn change(before: Option<&id_document_template::Model>, after: &id_document_template::Model) -> DefinitionChange {
    use id_document_template::Column::{
        Active, DocumentType, IsMandatory, IssuingAuthority, Pattern, Position, TemplateId,
    };
    let mut members = Vec::new();
    let columns = [
        TemplateId,
        DocumentType,
        IssuingAuthority,
        Pattern,
        IsMandatory,
        Active,
        Position,
    ];
    Members::new(&mut members).columns(before, Some(after), columns);
    DefinitionChange {
        subject: Subject::IdDocumentTemplate,
        key: after.encoded_key.clone(),
        action: Action::of(before),
        members,
    }
}

fn check(
    input: &UpsertIdDocumentTemplate,
    definitions: &Definitions,
) -> Result<id_document_template::Model, Vec<Problem>> {
    let UpsertIdDocumentTemplate {
        template_id,
        encoded_key,
        document_type,
        issuing_authority,
        pattern,
        mandatory,
        active,
        client_mutation_id: _,
    } = input;
    let all = &definitions.document_templates;
    let stored = all.iter().find(|template| template.template_id == *template_id);
    let mut problems = Problems::default();
    let mut member = Scalars {
        scope: Vec::new(),
        problems: &mut problems,
    };
    member.definition_id("templateId", template_id, stored.is_some());
    if stored.is_none() && all.len() >= MOST {
        let message = format!("There are at most {MOST} templates: change one that isn't active instead.");
        member.refuse(ProblemCode::TooMany, "templateId", message);
    }
    let is_taken = |key: &str| definitions.document_template_of_key(key).is_some();
    let issuer = stored.and_then(|template| template.issuing_authority.clone());
    let template = id_document_template::Model {
        encoded_key: member.definition_key(encoded_key, stored.map(|it| it.encoded_key.as_str()), is_taken),
        template_id: template_id.clone(),
        position: stored.map_or(all.len() as i32, |template| template.position),
        document_type: member.required("documentType", document_type, stored.map_or("", |it| &it.document_type)),
        issuing_authority: member.text("issuingAuthority", issuing_authority, issuer),
        pattern: member.text("pattern", pattern, stored.and_then(|template| template.pattern.clone())),
        is_mandatory: mandatory.unwrap_or(stored.is_some_and(|template| template.is_mandatory)),
        active: active.unwrap_or(stored.is_none_or(|template| template.active)),
    };
    if problems.0.is_empty() {
        Ok(template)
    } else {
        Err(problems.0)
    }
}

//! The fields of the mutation root. Each reads its input, calls one function of the domain and writes the payload.

use std::sync::Arc;

use async_graphql::{Context, Object as Root, Result};

use super::{
    context::{Answer, caller, loaders, selection},
    load_plan::{LoadPlan, selected_parts},
    loaded::LoadedData,
    messages::ResendMessagesInput,
    objects::{
        client::ClientRow,
        payload::{
            DeleteMessageTemplatePayload, PayloadRow, ResendMessagesPayload, UpsertClientPayload,
            UpsertClientRolePayload, UpsertClientsPayload, UpsertCustomFieldSetPayload,
            UpsertIdDocumentTemplatePayload, UpsertMessageTemplatePayload, UpsertRow,
        },
    },
};
use crate::api::metrics::ApiMetrics;
use clientele_core::problem::Problem;
use clientele_domain::{
    caller::Permission,
    client::{Aggregate, ClientParts, Clients},
    client_by::ClientBy,
    custom_field::{CustomFields, UpsertClientRole, UpsertCustomFieldSet, UpsertIdDocumentTemplate},
    definitions::Definitions,
    notify::{
        Messages,
        template::{DeleteMessageTemplate, Templates, UpsertMessageTemplate},
    },
    upsert::{Outcome, UpsertClient, UpsertClients},
};
use graphql_server::{
    Cause, Code, GraphqlError,
    object::{Object, RawObject, Selection},
};

/// Changes the bank's clients and the definitions they follow.
pub struct Mutation;

/// Changes the bank's clients and the definitions they follow.
#[Root(name = "ClientMutation")]
impl Mutation {
    /// Creates a client, or changes an existing one; either everything is stored or nothing. A given list replaces the
    /// stored list; an omitted list is kept. An input that equals the stored client changes nothing. `validateOnly`
    /// checks the input without storing anything. Requires CREATE_CLIENT or EDIT_CLIENT.
    async fn upsert_client(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The client to create or change.")] input: UpsertClient,
    ) -> Result<Answer<UpsertClientPayload>> {
        let selection = selection::<UpsertClientPayload>(context)?;
        let fields = selection.below("client").chain(selection.below("conflictingClient"));
        let selections: Vec<&Selection> = fields.map(|field| &field.selection).collect();
        let load_plan = LoadPlan::of_clients(&selections)?;
        let parts = selected_parts(selections);
        let (clients, loaders, caller) = (context.data::<Clients>()?, loaders(context)?, caller(context)?);
        let client_mutation_id = input.client_mutation_id.as_deref();
        let outcome = clients.upsert(caller, &input, parts, super::now()).await?;
        match &outcome {
            Ok(upserted) if input.validate_only => {
                let row = UpsertRow {
                    client: None,
                    created: false,
                    warnings: &upserted.warnings,
                };
                answer(context, Ok(row), client_mutation_id)
            }
            Ok(upserted) => {
                let (client, definitions) = (&upserted.client, upserted.definitions.clone());
                let loaded = LoadedData::around([client], &load_plan, definitions, loaders, caller).await;
                let loaded = read_back(context, loaded, &selection, "client");
                let row = UpsertRow {
                    client: loaded.as_ref().map(|loaded| (client, loaded)),
                    created: upserted.outcome == Outcome::Created,
                    warnings: &upserted.warnings,
                };
                answer(context, Ok(row), client_mutation_id)
            }
            Err(problems) => {
                let conflicting = match selection.selects("conflictingClient") {
                    true => conflicting_client(context, problems, parts).await?,
                    false => None,
                };
                let Some((client, definitions)) = conflicting else {
                    return answer(context, Err(problems), client_mutation_id);
                };
                let loaded = LoadedData::around([&client], &load_plan, definitions, loaders, caller).await?;
                answer_with(
                    context,
                    Err(problems),
                    client_mutation_id,
                    Some((&client, &loaded)),
                    false,
                )
            }
        }
    }

    /// Creates or changes up to 1,000 clients, each as `upsertClient` does and by itself: a problem with one doesn't
    /// stop the others. Clients that the request has no time or memory for are reported as NOT_CARRIED_OUT. Requires
    /// CREATE_CLIENT or EDIT_CLIENT.
    async fn upsert_clients(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The clients to create or change.")] input: UpsertClients,
    ) -> Result<Answer<UpsertClientsPayload>> {
        super::many::upsert(context, input).await
    }

    /// Creates a set of custom fields, or changes the existing set with this `setId`; either everything is stored or
    /// nothing. Requires MANAGE_CUSTOM_FIELDS.
    async fn upsert_custom_field_set(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The set to create or change.")] input: UpsertCustomFieldSet,
    ) -> Result<Answer<UpsertCustomFieldSetPayload>> {
        let custom_fields = context.data::<CustomFields>()?;
        let outcome = custom_fields.upsert_set(caller(context)?, &input, super::now()).await?;
        let stored = written(&outcome, |changed| {
            let all = &*changed.definitions;
            Some(((all.set_of_key(&changed.key)?, all), changed.warnings.as_slice()))
        })?;
        answer(context, stored, input.client_mutation_id.as_deref())
    }

    /// Creates a client role, or changes the existing role with this `roleId`. Requires MANAGE_CUSTOM_FIELDS.
    async fn upsert_client_role(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The role to create or change.")] input: UpsertClientRole,
    ) -> Result<Answer<UpsertClientRolePayload>> {
        let custom_fields = context.data::<CustomFields>()?;
        let outcome = custom_fields
            .upsert_role(caller(context)?, &input, super::now())
            .await?;
        let stored = written(&outcome, |changed| {
            let all = &*changed.definitions;
            Some((all.role_of_key(&changed.key)?, all))
        })?;
        answer(context, stored, input.client_mutation_id.as_deref())
    }

    /// Creates a template of identification documents, or changes the existing template with this `templateId`.
    /// Requires MANAGE_CUSTOM_FIELDS.
    async fn upsert_id_document_template(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The template to create or change.")] input: UpsertIdDocumentTemplate,
    ) -> Result<Answer<UpsertIdDocumentTemplatePayload>> {
        let custom_fields = context.data::<CustomFields>()?;
        let outcome = custom_fields.upsert_document_template(caller(context)?, &input, super::now());
        let outcome = outcome.await?;
        let stored = written(&outcome, |changed| {
            changed.definitions.document_template_of_key(&changed.key)
        })?;
        answer(context, stored, input.client_mutation_id.as_deref())
    }

    /// Creates a message template, or changes the existing template with this `templateId`; either everything is stored
    /// or nothing. Requires MANAGE_TEMPLATES.
    async fn upsert_message_template(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The template to create or change.")] input: UpsertMessageTemplate,
    ) -> Result<Answer<UpsertMessageTemplatePayload>> {
        let caller = caller(context)?;
        let templates = context.data::<Templates>()?;
        let outcome = templates.upsert(caller, &input, super::now()).await?;
        let rights = &*caller.rights;
        let stored = written(&outcome, |changed| {
            let all = &*changed.definitions;
            Some((&**all.template_of_key(&changed.key)?, all, rights))
        })?;
        answer(context, stored, input.client_mutation_id.as_deref())
    }

    /// Deletes a message template. Messages that have been written from it are still sent. Requires MANAGE_TEMPLATES.
    async fn delete_message_template(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The template to delete.")] input: DeleteMessageTemplate,
    ) -> Result<Answer<DeleteMessageTemplatePayload>> {
        let templates = context.data::<Templates>()?;
        let outcome = templates.delete(caller(context)?, &input, super::now()).await?;
        answer(
            context,
            outcome.as_ref().map(String::as_str),
            input.client_mutation_id.as_deref(),
        )
    }

    /// Queues messages that failed, bounced or were suppressed again, as if no attempt had been made. A message keeps
    /// its key, by which a receiver recognises a message that did arrive. Limits don't count resent messages. Requires
    /// RESEND_MESSAGES.
    async fn resend_messages(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The messages to resend.")] input: ResendMessagesInput,
    ) -> Result<Answer<ResendMessagesPayload>> {
        let selection = selection::<ResendMessagesPayload>(context)?;
        let selections: Vec<&Selection> = selection.below("messages").map(|field| &field.selection).collect();
        let load_plan = LoadPlan::of_messages(&selections)?;
        let client_mutation_id = input.client_mutation_id.clone();
        let outcome = match input.read() {
            Ok(which) => {
                let messages = context.data::<Messages>()?;
                messages.resend(caller(context)?, &which, super::now()).await?
            }
            Err(problem) => Err(vec![problem]),
        };
        let resent = outcome.as_ref().ok();
        let messages = resent.iter().flat_map(|resent| resent.messages.iter().flatten());
        let loaded = LoadedData::around_messages(messages, &load_plan, loaders(context)?, caller(context)?).await;
        let loaded = read_back(context, loaded, &selection, "messages");
        let stored = outcome.as_ref().map(|resent| (resent, loaded.as_ref()));
        answer(context, stored, client_mutation_id.as_deref())
    }
}

/// Writes the payload of a stored change, or of the problems of its input. A stored change stays stored if writing
/// fails, and the error says so.
pub(super) fn answer<'a, T, R>(
    context: &Context<'_>,
    outcome: Result<R, &'a Vec<Problem>>,
    client_mutation_id: Option<&'a str>,
) -> Result<Answer<T>>
where
    T: Object<Row<'a> = PayloadRow<'a, R>>,
    R: Copy,
{
    let is_stored = outcome.is_ok();
    answer_with(context, outcome, client_mutation_id, None, is_stored)
}

/// As [`answer`], with the client whose version was not the expected one. A payload without problems of the whole input
/// doesn't imply that anything `is_stored`.
pub(super) fn answer_with<'a, T, R>(
    context: &Context<'_>,
    outcome: Result<R, &'a Vec<Problem>>,
    client_mutation_id: Option<&'a str>,
    conflicting: Option<ClientRow<'a>>,
    is_stored: bool,
) -> Result<Answer<T>>
where
    T: Object<Row<'a> = PayloadRow<'a, R>>,
    R: Copy,
{
    if let (Err(problems), Ok(metrics)) = (&outcome, context.data::<ApiMetrics>()) {
        metrics.user_errors(problems);
    }
    let row = PayloadRow {
        outcome: outcome.map_err(Vec::as_slice),
        client_mutation_id,
        conflicting,
    };
    RawObject::object(context, row, &*selection::<T>(context)?)
        .map(Some)
        .map_err(|error| if is_stored { incomplete().into() } else { error })
}

/// The client whose version was not the expected one, if the caller may view it.
async fn conflicting_client(
    context: &Context<'_>,
    problems: &[Problem],
    parts: ClientParts,
) -> Result<Option<(Aggregate, Arc<Definitions>)>> {
    let caller = caller(context)?;
    let conflict = problems.iter().find_map(|problem| problem.conflict.as_ref());
    match conflict.and_then(|conflict| conflict.client_key.clone()) {
        Some(key) if caller.can(Permission::ViewClient) => {
            let by = ClientBy::EncodedKey(key);
            Ok(context.data::<Clients>()?.get(caller, &by, parts).await?)
        }
        _ => Ok(None),
    }
}

/// The definition that has been stored, found among all definitions.
fn written<'a, T, R>(
    outcome: &'a Result<T, Vec<Problem>>,
    find: impl FnOnce(&'a T) -> Option<R>,
) -> Result<Result<R, &'a Vec<Problem>>, GraphqlError> {
    match outcome {
        Ok(stored) => find(stored).map(Ok).ok_or_else(incomplete),
        Err(problems) => Ok(Err(problems)),
    }
}

/// The data of the payload's field `name` after a change. If it can't be read, the field is null with an error, and the
/// other fields say what is stored.
pub(super) fn read_back<T>(context: &Context<'_>, read: Result<T>, selection: &Selection, name: &str) -> Option<T> {
    if read.is_err() {
        for field in selection.below(name) {
            field.report(context, incomplete());
        }
    }
    read.ok()
}

/// The error of a stored change without a complete answer. A caller that tries again would create the client a second
/// time.
pub(super) fn incomplete() -> GraphqlError {
    let message = "The change has been stored, but its answer could not be completed: read it back, asking for less.";
    GraphqlError::new(Code::Internal, message)
        .because(Cause::new("the answer to a stored change could not be completed"))
}

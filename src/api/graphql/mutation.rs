//! The root of mutations. Each reads its input, calls the domain's one function for it and writes the payload.

use std::sync::Arc;

use async_graphql::{Context, Object as Root, Result};

use super::{
    context::{caller, clientele, loaders, plan},
    messages::ResendMessagesInput,
    objects::{
        client::ClientRow,
        definition::SetRow,
        message::{ResendMessagesPayload, ResentRow},
        payload::{
            DeleteMessageTemplatePayload, PayloadRow, UpsertClientPayload, UpsertClientRolePayload,
            UpsertCustomFieldSetPayload, UpsertMessageTemplatePayload,
        },
        template::TemplateRow,
    },
    reach::{Reach, wanted},
    world::World,
};
use crate::api::metrics::ApiMetrics;
use clientele_core::problem::{Problem, ProblemCode};
use clientele_domain::{
    caller::Permission,
    client::{Aggregate, Wanted},
    custom_field::{UpsertClientRole, UpsertCustomFieldSet, upsert_client_role, upsert_custom_field_set},
    definitions::Definitions,
    notify::template::{
        DeleteMessageTemplate, UpsertMessageTemplate, delete_message_template, upsert_message_template,
    },
    upsert::{Outcome, UpsertClient},
};
use graphql_server::{
    error::{Cause, Code, Fault},
    object::{Object, Plan, Written},
};

/// Changes the bank's clients and the definitions they follow.
pub struct Mutation;

/// Changes the bank's clients and the definitions they follow.
#[Root(name = "ClientMutation")]
impl Mutation {
    /// Creates a client, or changes the one that the input names: all of it or nothing. A list that is given becomes
    /// the whole list, one that is omitted stays; an input that says what is stored already changes nothing.
    async fn upsert_client(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The client as it is to be.")] input: UpsertClient,
    ) -> Result<Written<UpsertClientPayload>> {
        let plan = plan::<UpsertClientPayload>(context)?;
        let conflicting = plan.below("conflictingClient").map(|step| &step.plan);
        let plans: Vec<&Plan> = plan.below("client").map(|step| &step.plan).chain(conflicting).collect();
        let reach = Reach::of_clients(&plans)?;
        let wanted = wanted(plans.iter().copied());
        let outcome = clientele(context)?
            .upsert_client(caller(context)?, &input, wanted, super::now())
            .await?;
        if let Err(problems) = &outcome
            && plan.asks("conflictingClient")
            && let Some((aggregate, definitions)) = conflicting_client(context, &input, problems, wanted).await?
        {
            let world = World::around([&aggregate], &reach, definitions, loaders(context)?, caller(context)?).await?;
            let conflicting = Some(ClientRow {
                aggregate: &aggregate,
                world: &world,
            });
            return answer_with(
                context,
                &plan,
                Err(problems),
                input.client_mutation_id.as_deref(),
                conflicting,
            );
        }
        let (aggregate, world);
        let stored = match &outcome {
            Ok(upserted) => {
                aggregate = &upserted.client;
                let (definitions, loaders) = (upserted.definitions.clone(), loaders(context)?);
                let around = World::around([aggregate], &reach, definitions, loaders, caller(context)?);
                world = around.await.map_err(|_| incomplete())?;
                let row = ClientRow {
                    aggregate,
                    world: &world,
                };
                Ok((row, upserted.outcome == Outcome::Created))
            }
            Err(problems) => Err(problems),
        };
        answer(context, &plan, stored, input.client_mutation_id.as_deref())
    }

    /// Creates a set of custom fields, or changes the one with this `setId`: all of it or nothing.
    async fn upsert_custom_field_set(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The set as it is to be.")] input: UpsertCustomFieldSet,
    ) -> Result<Written<UpsertCustomFieldSetPayload>> {
        let plan = plan::<UpsertCustomFieldSetPayload>(context)?;
        let outcome = upsert_custom_field_set(clientele(context)?, caller(context)?, &input, super::now()).await?;
        let stored = written(&outcome, |(definitions, key)| {
            Some(SetRow {
                set: definitions.set_of_key(key)?,
                definitions,
            })
        })?;
        answer(context, &plan, stored, input.client_mutation_id.as_deref())
    }

    /// Creates a client role, or changes the one with this `roleId`.
    async fn upsert_client_role(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The role as it is to be.")] input: UpsertClientRole,
    ) -> Result<Written<UpsertClientRolePayload>> {
        let plan = plan::<UpsertClientRolePayload>(context)?;
        let outcome = upsert_client_role(clientele(context)?, caller(context)?, &input, super::now()).await?;
        let stored = written(&outcome, |(definitions, key)| definitions.role_of_key(key))?;
        answer(context, &plan, stored, input.client_mutation_id.as_deref())
    }

    /// Creates a message template, or changes the one with this `templateId`: all of it or nothing.
    async fn upsert_message_template(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The template as it is to be.")] input: UpsertMessageTemplate,
    ) -> Result<Written<UpsertMessageTemplatePayload>> {
        let plan = plan::<UpsertMessageTemplatePayload>(context)?;
        let caller = caller(context)?;
        let outcome = upsert_message_template(clientele(context)?, caller, &input, super::now()).await?;
        let rights = &*caller.rights;
        let stored = written(&outcome, |(definitions, key)| {
            Some(TemplateRow {
                template: definitions.template_of_key(key)?,
                definitions,
                rights,
            })
        })?;
        answer(context, &plan, stored, input.client_mutation_id.as_deref())
    }

    /// Deletes a message template. Messages that were written from it are sent all the same.
    async fn delete_message_template(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which template.")] input: DeleteMessageTemplate,
    ) -> Result<Written<DeleteMessageTemplatePayload>> {
        let plan = plan::<DeleteMessageTemplatePayload>(context)?;
        let outcome = delete_message_template(clientele(context)?, caller(context)?, &input, super::now()).await?;
        let deleted = outcome.as_ref().map(String::as_str);
        answer(context, &plan, deleted, input.client_mutation_id.as_deref())
    }

    /// Queues messages that have failed once more, as if they had never been tried. They stay the same messages: a
    /// receiver that got one after all can tell by its key.
    async fn resend_messages(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which messages.")] input: ResendMessagesInput,
    ) -> Result<Written<ResendMessagesPayload>> {
        let plan = plan::<ResendMessagesPayload>(context)?;
        let plans: Vec<&Plan> = plan.below("messages").map(|step| &step.plan).collect();
        let reach = Reach::of_messages(&plans)?;
        let (which, client_mutation_id) = input.read();
        let outcome = match which {
            Ok(which) => {
                let (clientele, caller) = (clientele(context)?, caller(context)?);
                clientele.resend_messages(caller, &which, super::now()).await?
            }
            Err(problem) => Err(vec![problem]),
        };
        let resent = outcome.as_ref().ok();
        let messages = resent.iter().flat_map(|resent| resent.messages.iter().flatten());
        let world = World::around_messages(messages, &reach, loaders(context)?, caller(context)?).await;
        let world = world.map_err(|error| if resent.is_some() { incomplete().into() } else { error })?;
        let stored = outcome.as_ref().map(|resent| ResentRow { resent, world: &world });
        answer(context, &plan, stored, client_mutation_id.as_deref())
    }
}

/// Writes a payload around what has been stored, or around every problem. What has been stored stays stored when that
/// fails, and the caller has to know.
pub(super) fn answer<'a, T, R>(
    context: &Context<'_>,
    plan: &Plan,
    outcome: Result<R, &'a Vec<Problem>>,
    client_mutation_id: Option<&'a str>,
) -> Result<Written<T>>
where
    T: Object<Row<'a> = PayloadRow<'a, R>>,
    R: Copy,
{
    answer_with(context, plan, outcome, client_mutation_id, None)
}

/// As [`answer`], with the client whose version was not the expected one.
fn answer_with<'a, T, R>(
    context: &Context<'_>,
    plan: &Plan,
    outcome: Result<R, &'a Vec<Problem>>,
    client_mutation_id: Option<&'a str>,
    conflicting: Option<ClientRow<'a>>,
) -> Result<Written<T>>
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
    Written::object(context, row, plan).map_err(|error| if outcome.is_ok() { incomplete().into() } else { error })
}

/// The client of a submission whose version was not the expected one, if the caller may view it.
async fn conflicting_client(
    context: &Context<'_>,
    input: &UpsertClient,
    problems: &[Problem],
    wanted: Wanted,
) -> Result<Option<(Aggregate, Arc<Definitions>)>> {
    let caller = caller(context)?;
    match input.target() {
        Some(target)
            if caller.may(Permission::ViewClient)
                && problems
                    .iter()
                    .any(|problem| problem.code == ProblemCode::VersionConflict) =>
        {
            Ok(clientele(context)?.client(caller, &target, wanted).await?)
        }
        _ => Ok(None),
    }
}

/// A definition that has been written, as it is found in the picture of all definitions.
fn written<'a, T, R>(
    outcome: &'a Result<T, Vec<Problem>>,
    find: impl FnOnce(&'a T) -> Option<R>,
) -> Result<Result<R, &'a Vec<Problem>>, Fault> {
    match outcome {
        Ok(stored) => find(stored).map(Ok).ok_or_else(incomplete),
        Err(problems) => Ok(Err(problems)),
    }
}

/// A caller that is told to try again would create the client a second time.
fn incomplete() -> Fault {
    let message = "The change has been stored, but its answer could not be completed: read it back, asking for less.";
    Fault::new(Code::Internal, message).because(Cause::new("the answer to a stored change could not be completed"))
}

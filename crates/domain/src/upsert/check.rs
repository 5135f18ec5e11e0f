//! Checks an upsert. A pure function: submission + definitions + stored client → the resulting client, or every
//! problem.
//!
//! Each collection's rules have their own file.

mod client;
mod custom_information;
mod members;

use std::{collections::HashSet, iter};

use async_graphql::MaybeUndefined;
use chrono::{DateTime, Utc};
use entity::{address, client_role, custom_field_value, id_document};

pub(super) use custom_information::{
    Groups, InvalidValue, gaps, no_linked_client, of_type, of_usage, partial::close_gaps,
};

use super::{UpsertClient, diff::ClientDiff};
use crate::{
    caller::Caller,
    client::{Aggregate, ClientSettings},
    definitions::Definitions,
    enums::ClientState,
    id_pattern::IdPattern,
    member::Problems,
};
use clientele_core::{
    path,
    problem::{Message, Problem, ProblemCode, Section, Step},
};

/// The context that a submission is checked in.
pub(super) struct ValidationContext<'a> {
    pub caller: &'a Caller,
    /// The stored client with at least the collections that the submission has; none if it must be created.
    pub stored: Option<&'a Aggregate>,
    /// True if the submission needs the permission to change a client, not the one to create one.
    pub is_change: bool,
    pub definitions: &'a Definitions,
    /// The existing clients among those that the submission links to, by key.
    pub linked: HashSet<String>,
    /// True if the chosen id, which is new, is in use.
    pub is_id_taken: bool,
    /// The custom field values of an exported client. They are taken as they are, and its role and the templates of
    /// its documents demand nothing: all was stored before, and the definitions may have changed since.
    pub exported: Option<&'a [custom_field_value::Model]>,
    pub settings: &'a ClientSettings,
    pub now: DateTime<Utc>,
}

/// Returns the resulting client. Collections that the submission doesn't replace are none; the id of a new client is
/// empty if one must be generated.
///
/// # Errors
/// Every problem of the submission, in the order of its parts.
pub(super) fn check(input: &UpsertClient, context: &ValidationContext<'_>) -> Result<Aggregate, Vec<Problem>> {
    let mut problems = Problems(input.unreadable.clone());
    let client = client::client(input, context, &mut problems);
    let state = context.stored.map(|stored| stored.client.state.as_str());
    if let Some(problem) = input.forbidden(context.caller, context.is_change, state) {
        problems.0.push(problem);
        return Err(visible_without_permission(problems.0));
    }
    if context.is_id_taken {
        problems.0.push(id_taken(context.stored.is_none()));
    }
    let key = client.encoded_key.as_str();
    let stored = context.stored.and_then(|stored| stored.id_documents.as_deref());
    let id_documents = members::id_documents(&input.id_documents, key, stored, context, &mut problems);
    let stored = context.stored.and_then(|stored| stored.addresses.as_deref());
    let addresses = members::addresses(&input.addresses, key, stored.unwrap_or_default(), &mut problems);
    if context.exported.is_none()
        && let Some(role) = context.definitions.role_of_key(&client.client_role_key)
    {
        role_allows(
            role,
            id_documents.as_deref(),
            addresses.as_deref(),
            context,
            &mut problems,
        );
    }
    let check_values = match input.is_partial {
        true => custom_information::partial::check,
        false => custom_information::check,
    };
    let custom_values = match context.exported {
        Some(values) => Some(values.to_vec()),
        None => check_values(&input.custom_information, &client, context, &mut problems),
    };
    let Problems(mut problems) = problems;
    let after = Aggregate {
        client,
        addresses,
        id_documents,
        custom_values,
    };
    if context
        .stored
        .is_some_and(|stored| is_barred(stored, &after, &problems))
    {
        return Err(vec![blacklisted()]);
    }
    if problems.is_empty() {
        return Ok(after);
    }
    problems.sort_by_key(Problem::section);
    Err(problems)
}

/// Checks the collections by the role of the client. A stored address can be sent back.
fn role_allows(
    role: &client_role::Model,
    id_documents: Option<&[id_document::Model]>,
    addresses: Option<&[address::Model]>,
    context: &ValidationContext<'_>,
    problems: &mut Problems,
) {
    if role.requires_id_document && id_documents.is_some_and(<[_]>::is_empty) {
        let message = "Clients of this role need an identification document.";
        problems.add(ProblemCode::Required, path!["idDocuments"], message);
    }
    let stored = context.stored.and_then(|stored| stored.addresses.as_deref());
    if !role.allows_addresses && addresses.is_some_and(|addresses| !addresses.is_empty()) && addresses != stored {
        let message = "Clients of this role have no address: leave it out.";
        problems.add(ProblemCode::NotAvailable, path!["addresses"], message);
    }
}

/// Returns true if the client is blacklisted, and the submission would change more than its state.
fn is_barred(stored: &Aggregate, after: &Aggregate, problems: &[Problem]) -> bool {
    let is_of_state = |problem: &Problem| problem.path == path!["client", "state"];
    stored.client.state == ClientState::Blacklisted.as_str()
        && (!problems.iter().all(is_of_state) || ClientDiff::between(Some(stored), after).exceeds_state())
}

fn blacklisted() -> Problem {
    let message = "This client is blacklisted and can't be edited: change its state first.";
    Problem::new(ProblemCode::Blacklisted, path!["client"], message)
}

impl UpsertClient {
    /// Returns the problem with the client's name, followed by those of other members that don't depend on the stored
    /// client. So the caller can correct all of them at once.
    pub(super) fn with_other_problems(&self, unknown: Problem, context: ValidationContext<'_>) -> Vec<Problem> {
        let context = ValidationContext {
            stored: None,
            is_change: true,
            ..context
        };
        let others = check(self, &context).err().unwrap_or_default();
        let others = others.into_iter().filter(|problem| !self.depends_on_stored(problem));
        iter::once(unknown).chain(others).collect()
    }

    /// Returns true if the problem might not exist for an existing client. An omitted member can be stored. Keys, the
    /// id and values that the caller can't set can be sent back.
    ///
    /// A value that breaks another rule is reported. A stored value from before that rule is accepted if it is sent
    /// back unchanged.
    fn depends_on_stored(&self, problem: &Problem) -> bool {
        match problem.code {
            ProblemCode::NotOwned
            | ProblemCode::NotEditable
            | ProblemCode::Forbidden
            | ProblemCode::Deactivated
            | ProblemCode::NotAvailable => true,
            ProblemCode::Blank | ProblemCode::Required => self.leaves_out(&problem.path),
            _ => false,
        }
    }

    fn leaves_out(&self, path: &[Step]) -> bool {
        let (client, values) = (&self.client, &self.custom_information);
        match (path, values) {
            ([Step::Name("client"), Step::Name("firstName")], _) => client.first_name.is_undefined(),
            ([Step::Name("client"), Step::Name("lastName")], _) => client.last_name.is_undefined(),
            ([Step::Name("customInformation")], values) => values.is_undefined(),
            // The role may not require one.
            ([Step::Name("idDocuments")], _) => true,
            ([Step::Name("customInformation"), Step::Index(at), Step::Name(name)], MaybeUndefined::Value(values)) => {
                values.get(*at).is_some_and(|value| match *name {
                    "value" => value.value.is_undefined(),
                    "linkedKey" => value.linked_key.is_undefined(),
                    _ => false,
                })
            }
            _ => false,
        }
    }
}

/// The problem with a chosen id that another client has.
pub(super) fn id_taken(is_new: bool) -> Problem {
    let message = Message::from("Another client has this ")
        .member("clientId")
        .text(format!(": choose another, or leave it out {}.", without_id(is_new)));
    Problem::new(ProblemCode::Taken, path!["client", "clientId"], message)
}

/// The problem with a role whose ids are used up.
pub(super) fn ids_used_up(pattern: &IdPattern) -> Problem {
    let message = Message::from(format!("The IDs of the form {pattern} are used up: send "))
        .member("clientId")
        .text(", or give the role another form.");
    Problem::new(ProblemCode::Taken, path!["client", "clientId"], message)
}

/// The effect of leaving out the id.
fn without_id(is_new: bool) -> &'static str {
    match is_new {
        true => "to have one generated",
        false => "to keep the present one",
    }
}

/// Limits the problems that a caller without the permission gets. They learn the faults of the submission up to the
/// refusal, and that the client exists, but nothing that is stored.
fn visible_without_permission(mut problems: Vec<Problem>) -> Vec<Problem> {
    let tells_stored = |code| matches!(code, ProblemCode::NotEditable | ProblemCode::InvalidTransition);
    problems.retain(|problem| problem.section() <= Section::Permission && !tells_stored(problem.code));
    problems.sort_by_key(Problem::section);
    problems
}

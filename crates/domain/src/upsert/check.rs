//! Checks an upsert. A pure function: submission + definitions + stored client → the resulting client, or every
//! problem.
//!
//! Each collection's rules have their own file.

mod custom_information;
mod members;

use std::{collections::HashSet, iter};

use async_graphql::MaybeUndefined;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use entity::{address, client, client_role, custom_field_value, id_document};

pub(super) use custom_information::{no_linked_client, partial::close_gaps};

use super::{ClientInput, Scope, UpsertClient, diff::ClientDiff};
use crate::client_by::ClientRoleBy;
use crate::id_pattern::IdPattern;
use crate::member::{Problems, Scalars, TEXT_LIMIT, keep};
use crate::{
    caller::{Caller, Limit},
    definitions::Definitions,
};
use crate::{
    client::{Aggregate, ClientSettings, Transition},
    enums::{ClientState, Language},
};
use clientele_core::{
    mail_address::is_address,
    path,
    problem::{Message, Problem, ProblemCode, Section, Step},
    scalar::{Date, is_key, new_key},
    text::{is_blank, is_invisible},
};

const NOTES_LIMIT: usize = 65_535;
const CLIENT_ID_LIMIT: usize = 32;
/// Ids with another meaning in a URL: a folder, its parent, and the route `/api/clients/search`.
const RESERVED_IDS: [&str; 3] = [".", "..", "search"];
/// Days begin first in the time zone UTC+14.
const EARLIEST_ZONE: TimeDelta = TimeDelta::hours(14);

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
    let client = client(input, context, &mut problems);
    let state = context.stored.map(|stored| stored.client.state.as_str());
    if let Some(problem) = input.forbidden(context.caller, context.is_change, state) {
        problems.0.push(problem);
        return Err(visible_without_permission(problems.0));
    }
    if context.is_id_taken {
        problems.0.push(input.id_taken(context.stored.is_none()));
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

fn client(input: &UpsertClient, context: &ValidationContext<'_>, problems: &mut Problems) -> client::Model {
    let ClientInput {
        encoded_key: _, // resolved before
        client_id,
        state,
        first_name,
        middle_name,
        last_name,
        birth_date,
        gender,
        email_address,
        home_phone,
        mobile_phone1,
        mobile_phone2,
        preferred_language,
        notes,
        client_role,
        assigned_branch_key,
        assigned_centre_key,
        assigned_user_key,
    } = &input.client;
    let is_upsert = input.scope == Scope::Upsert;
    let stored = match context.stored {
        Some(stored) => stored.client.clone(),
        None => blank_client(context),
    };
    let [branch, centre] = match context.is_change || context.exported.is_some() {
        true => [assigned_branch_key.clone(), assigned_centre_key.clone()],
        false => {
            let rights = &context.caller.rights;
            [
                only_if_absent(assigned_branch_key, &rights.branches),
                only_if_absent(assigned_centre_key, &rights.centres),
            ]
        }
    };
    let mut member = Scalars {
        scope: vec!["client".into()],
        problems,
    };
    let transition = match (is_upsert, context.stored) {
        (true, stored_client) => {
            member.keep_state(state, &stored.state, stored_client.is_none());
            None
        }
        (false, Some(stored)) => member.transition(state, &stored.client.state),
        (false, None) => None,
    };
    let mut client = client::Model {
        client_id: member.client_id(client_id, context.stored, is_upsert),
        first_name: member.required("firstName", first_name, &stored.first_name),
        middle_name: member.text("middleName", middle_name, stored.middle_name),
        last_name: member.required("lastName", last_name, &stored.last_name),
        birth_date: member.birth_date(birth_date, stored.birth_date, context.now),
        gender: keep(gender, stored.gender, |gender| gender.as_str().to_owned()),
        email_address: member.email_address(email_address, stored.email_address),
        home_phone: member.text("homePhone", home_phone, stored.home_phone),
        mobile_phone1: member.text("mobilePhone1", mobile_phone1, stored.mobile_phone1),
        mobile_phone2: member.text("mobilePhone2", mobile_phone2, stored.mobile_phone2),
        preferred_language: match preferred_language {
            MaybeUndefined::Undefined => stored.preferred_language,
            MaybeUndefined::Null => Language::English.as_str().to_owned(),
            MaybeUndefined::Value(language) => language.as_str().to_owned(),
        },
        notes: member.lines("notes", notes, stored.notes, NOTES_LIMIT),
        client_role_key: member.client_role(client_role, stored.client_role_key, context.definitions),
        assigned_branch_key: member.key("assignedBranchKey", &branch, stored.assigned_branch_key),
        assigned_centre_key: member.key("assignedCentreKey", &centre, stored.assigned_centre_key),
        assigned_user_key: member.key("assignedUserKey", assigned_user_key, stored.assigned_user_key),
        ..stored
    };
    if let Some(transition) = transition {
        transition.apply(&mut client, context.now);
    }
    within_limits(&client, context, problems);
    client
}

/// Returns the caller's only branch or centre for a new client that is sent without one.
fn only_if_absent(sent: &MaybeUndefined<String>, limit: &Limit) -> MaybeUndefined<String> {
    match (sent, limit.only()) {
        (MaybeUndefined::Undefined, Some(key)) => MaybeUndefined::Value(key.clone()),
        _ => sent.clone(),
    }
}

/// Refuses a client that is created outside of the caller's branches and centres, or moved out of them.
fn within_limits(client: &client::Model, context: &ValidationContext<'_>, problems: &mut Problems) {
    let rights = &context.caller.rights;
    for (name, limit, key) in [
        ("assignedBranchKey", &rights.branches, &client.assigned_branch_key),
        ("assignedCentreKey", &rights.centres, &client.assigned_centre_key),
    ] {
        if !limit.allows(key.as_deref()) {
            let message = Message::of_member(name, " must be one of those that your rights are limited to.");
            problems.add(ProblemCode::Forbidden, path!["client", name], message);
        }
    }
}

/// A new client, before the input is applied.
fn blank_client(context: &ValidationContext<'_>) -> client::Model {
    let ValidationContext {
        definitions,
        settings,
        now,
        ..
    } = context;
    let approved = settings.first_state != ClientState::PendingApproval;
    let active = settings.first_state == ClientState::Active;
    client::Model {
        encoded_key: new_key(),
        state: settings.first_state.as_str().to_owned(),
        preferred_language: Language::English.as_str().to_owned(),
        client_role_key: definitions.default_role().encoded_key.clone(),
        created_at: *now,
        updated_at: *now,
        approved_at: approved.then_some(*now),
        activated_at: active.then_some(*now),
        version: 1,
        ..client::Model::default()
    }
}

impl Scalars<'_> {
    fn key(&mut self, name: &'static str, sent: &MaybeUndefined<String>, stored: Option<String>) -> Option<String> {
        let key = self.text(name, sent, stored.clone());
        if key != stored && key.as_deref().is_some_and(|key| !is_key(key)) {
            self.refuse(
                ProblemCode::Malformed,
                name,
                Message::of_member(name, " must be a key of 1 to 32 letters and digits."),
            );
        }
        key
    }

    fn email_address(&mut self, sent: &MaybeUndefined<String>, stored: Option<String>) -> Option<String> {
        // Of control characters only NUL has its own code: with another one, a text isn't an address.
        let nul = |text: &str| text.chars().find(|character| *character == '\0');
        let address = self.optional("emailAddress", sent, stored.clone(), TEXT_LIMIT, nul);
        if address != stored && address.as_deref().is_some_and(|address| !is_address(address)) {
            let message = "emailAddress must be an address of the form name@example.com.";
            self.refuse(ProblemCode::NotAnEmailAddress, "emailAddress", message);
        }
        address
    }

    /// Checks the day of birth: at most today, in the time zone where days begin first. A stored date is always
    /// accepted.
    fn birth_date(
        &mut self,
        sent: &MaybeUndefined<Date>,
        stored: Option<NaiveDate>,
        now: DateTime<Utc>,
    ) -> Option<NaiveDate> {
        let date = keep(sent, stored, |date| date.0);
        let latest = (now + EARLIEST_ZONE).date_naive();
        if date != stored && date > Some(latest) {
            self.refuse(
                ProblemCode::Invalid,
                "birthDate",
                "birthDate must not be in the future.",
            );
        }
        date
    }

    /// The id can be chosen on creation. `is_fixed` says that it can't be changed later.
    fn client_id(&mut self, sent: &MaybeUndefined<String>, stored: Option<&Aggregate>, is_fixed: bool) -> String {
        let stored = stored.map(|stored| stored.client.client_id.clone());
        let MaybeUndefined::Value(chosen) = sent else {
            return stored.unwrap_or_default();
        };
        match stored {
            Some(stored) if *chosen == stored => stored,
            Some(stored) if is_fixed => {
                self.refuse(
                    ProblemCode::NotEditable,
                    "clientId",
                    Message::of_member("clientId", " can't be changed once the client exists."),
                );
                stored
            }
            stored => {
                self.chosen_id(chosen, stored.is_none());
                chosen.clone()
            }
        }
    }

    fn chosen_id(&mut self, id: &str, is_new: bool) {
        let otherwise = without_id(is_new);
        if is_blank(id) {
            let message = Message::of_member("clientId", format!(" must not be blank: leave it out {otherwise}."));
            self.refuse(ProblemCode::Blank, "clientId", message);
        } else if RESERVED_IDS.contains(&id) {
            let message = Message::from(format!("The id {id} is reserved: choose another, or leave "))
                .member("clientId")
                .text(format!(" out {otherwise}."));
            self.refuse(ProblemCode::Taken, "clientId", message);
        } else if self.fits("clientId", id, CLIENT_ID_LIMIT)
            && (id.starts_with(is_invisible) || id.ends_with(is_invisible))
        {
            let message = Message::of_member(
                "clientId",
                " must not begin or end with white space or an invisible character.",
            );
            self.refuse(ProblemCode::Invalid, "clientId", message);
        }
    }

    /// Refuses another state than the stored one. Callers of the legacy API send the state INACTIVE with every new
    /// client, so it is ignored on creation.
    fn keep_state(&mut self, sent: &MaybeUndefined<String>, stored: &str, is_new: bool) {
        if let MaybeUndefined::Value(state) = sent
            && state != stored
            && !(is_new && state == ClientState::Inactive.as_str())
        {
            self.refuse(
                ProblemCode::NotEditable,
                "state",
                format!("state can't be set here: leave it out, or send {stored}."),
            );
        }
    }

    /// Returns the transition to another state; none if the state stays.
    fn transition(&mut self, sent: &MaybeUndefined<String>, stored: &str) -> Option<&'static Transition> {
        let state = sent.value().filter(|state| *state != stored)?;
        if ClientState::parse(state).is_none() {
            let message = "state must be PENDING_APPROVAL, INACTIVE, ACTIVE, EXITED, BLACKLISTED or REJECTED.";
            self.refuse(ProblemCode::NotAnOption, "state", message);
            return None;
        }
        let transition = Transition::between(stored, state);
        if transition.is_none() {
            let targets: Vec<&str> = Transition::targets(stored).collect();
            let targets = targets.join(" or ");
            let message = format!("A client that is {stored} can't become {state}, only {targets}.");
            self.refuse(ProblemCode::InvalidTransition, "state", message);
        }
        transition
    }

    fn client_role(&mut self, sent: &MaybeUndefined<ClientRoleBy>, stored: String, known: &Definitions) -> String {
        let by = match sent {
            MaybeUndefined::Undefined => return stored,
            MaybeUndefined::Null => return known.default_role().encoded_key.clone(),
            MaybeUndefined::Value(by) => by,
        };
        match known.role(by) {
            Some(role) => role.encoded_key.clone(),
            None => {
                let name = match by {
                    ClientRoleBy::EncodedKey(_) => "encodedKey",
                    ClientRoleBy::RoleId(_) => "roleId",
                };
                let message = Message::from("There is no client role of this name").listed_by("clientRoles");
                self.problems
                    .add(ProblemCode::NotFound, path!["client", "clientRole", name], message);
                stored
            }
        }
    }
}

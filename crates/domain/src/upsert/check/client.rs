//! Checks the members of the client itself, and returns its row.

use async_graphql::MaybeUndefined;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use entity::client;

use super::{ValidationContext, without_id};
use crate::{
    caller::Limit,
    client::{Aggregate, Transition},
    client_by::ClientRoleBy,
    definitions::Definitions,
    enums::{ClientState, Language},
    member::{NOTES_LIMIT, Problems, Scalars, TEXT_LIMIT, keep},
    upsert::{ClientInput, Scope, UpsertClient},
};
use clientele_core::{
    mail_address::is_address,
    path,
    problem::{Message, ProblemCode},
    scalar::{Date, is_key, new_key},
    text::{is_blank, is_invisible},
};

const CLIENT_ID_LIMIT: usize = 32;
/// Ids with another meaning in a URL: a folder, its parent, and the route `/api/clients/search`.
const RESERVED_IDS: [&str; 3] = [".", "..", "search"];
/// Days begin first in the time zone UTC+14.
const EARLIEST_ZONE: TimeDelta = TimeDelta::hours(14);

/// Returns the client's row after the submission.
pub(super) fn client(input: &UpsertClient, context: &ValidationContext<'_>, problems: &mut Problems) -> client::Model {
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

//! The audit record of a change to a client: the members that differ, under their GraphQL names.
//!
//! The key, the version and the timestamps are left out: they follow from the record itself.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use entity::{address, client, custom_field_value, id_document};

use crate::client::Aggregate;
use crate::{
    audit::{Member, Members},
    definitions::{Definitions, NO_GROUP},
};

/// The members in which `after` differs from `before`; all it has when it is new. A collection that is none in `after` was
/// left alone.
pub(super) fn members(before: Option<&Aggregate>, after: &Aggregate, definitions: &Definitions) -> Vec<Member> {
    fn rows<M>(before: Option<&Aggregate>, of: impl Fn(&Aggregate) -> &Option<Vec<M>>) -> &[M] {
        before.and_then(|before| of(before).as_deref()).unwrap_or_default()
    }
    let mut found = Vec::new();
    own(before.map(|before| &before.client), &after.client, &mut found);
    let (addresses, documents) = (rows(before, |of| &of.addresses), rows(before, |of| &of.id_documents));
    each(addresses, after.addresses.as_deref(), |before, after, key| {
        address(before, after, &mut Members::below(&mut found, &["addresses", key]));
    });
    each(documents, after.id_documents.as_deref(), |before, after, key| {
        id_document(before, after, &mut Members::below(&mut found, &["idDocuments", key]));
    });
    let values = rows(before, |of| &of.custom_values);
    each(values, after.custom_values.as_deref(), |before, after, _| {
        custom_value(before, after, definitions, &mut found);
    });
    found
}

/// Calls `member` with both states of each member that differs, in the order of the new state, then of the old one.
fn each<'a, M: entity::Member>(
    before: &'a [M],
    after: Option<&'a [M]>,
    mut member: impl FnMut(Option<&'a M>, Option<&'a M>, &str),
) {
    let Some(after) = after else { return };
    let stored: HashMap<&str, &M> = before.iter().map(|row| (row.encoded_key(), row)).collect();
    let kept: BTreeSet<&str> = after.iter().map(M::encoded_key).collect();
    for row in after {
        let stored = stored.get(row.encoded_key()).copied();
        if stored != Some(row) {
            member(stored, Some(row), row.encoded_key());
        }
    }
    for row in before.iter().filter(|row| !kept.contains(row.encoded_key())) {
        member(Some(row), None, row.encoded_key());
    }
}

fn date(date: &NaiveDate) -> String {
    date.to_string()
}

fn moment(moment: &DateTime<Utc>) -> String {
    clientele_core::scalar::DateTime::text(moment)
}

fn own(before: Option<&client::Model>, after: &client::Model, found: &mut Vec<Member>) {
    let client::Model {
        encoded_key: _,
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
        client_role_key,
        assigned_branch_key,
        assigned_centre_key,
        assigned_user_key,
        created_at: _,
        updated_at: _,
        approved_at,
        activated_at,
        closed_at,
        version: _,
    } = after;
    let mut members = Members::new(found);
    let mut always = |name, stored: fn(&client::Model) -> &String, after: &str| {
        members.text(name, before.map(|before| stored(before).as_str()), Some(after));
    };
    always("clientId", |of| &of.client_id, client_id);
    always("state", |of| &of.state, state);
    always("firstName", |of| &of.first_name, first_name);
    always("lastName", |of| &of.last_name, last_name);
    always("preferredLanguage", |of| &of.preferred_language, preferred_language);
    always("clientRole", |of| &of.client_role_key, client_role_key);
    let mut maybe = |name, stored: fn(&client::Model) -> &Option<String>, after: &Option<String>| {
        members.text(
            name,
            before.and_then(|before| stored(before).as_deref()),
            after.as_deref(),
        );
    };
    maybe("middleName", |of| &of.middle_name, middle_name);
    maybe("gender", |of| &of.gender, gender);
    maybe("emailAddress", |of| &of.email_address, email_address);
    maybe("homePhone", |of| &of.home_phone, home_phone);
    maybe("mobilePhone1", |of| &of.mobile_phone1, mobile_phone1);
    maybe("mobilePhone2", |of| &of.mobile_phone2, mobile_phone2);
    maybe("notes", |of| &of.notes, notes);
    maybe("assignedBranchKey", |of| &of.assigned_branch_key, assigned_branch_key);
    maybe("assignedCentreKey", |of| &of.assigned_centre_key, assigned_centre_key);
    maybe("assignedUserKey", |of| &of.assigned_user_key, assigned_user_key);
    members.value("birthDate", before.and_then(|of| of.birth_date), *birth_date, date);
    members.value("approvedAt", before.and_then(|of| of.approved_at), *approved_at, moment);
    members.value(
        "activatedAt",
        before.and_then(|of| of.activated_at),
        *activated_at,
        moment,
    );
    members.value("closedAt", before.and_then(|of| of.closed_at), *closed_at, moment);
}

fn address(before: Option<&address::Model>, after: Option<&address::Model>, members: &mut Members<'_>) {
    fn text(of: Option<&address::Model>) -> [Option<&str>; 6] {
        let Some(address::Model {
            client_key: _,
            encoded_key: _,
            position: _,
            line1,
            line2,
            city,
            region,
            postcode,
            country,
            latitude: _,
            longitude: _,
        }) = of
        else {
            return [None; 6];
        };
        [line1, line2, city, region, postcode, country].map(Option::as_deref)
    }
    let names = ["line1", "line2", "city", "region", "postcode", "country"];
    for ((name, before), after) in names.into_iter().zip(text(before)).zip(text(after)) {
        members.text(name, before, after);
    }
    let numbers = |name: &str, of: fn(&address::Model) -> Option<f64>, members: &mut Members<'_>| {
        members.value(name, before.and_then(of), after.and_then(of), f64::to_string);
    };
    numbers("latitude", |of| of.latitude, members);
    numbers("longitude", |of| of.longitude, members);
    place(before.map(|of| of.position), after.map(|of| of.position), members);
}

fn id_document(before: Option<&id_document::Model>, after: Option<&id_document::Model>, members: &mut Members<'_>) {
    let mut text = |name, of: fn(&id_document::Model) -> Option<&str>| {
        members.text(name, before.and_then(of), after.and_then(of));
    };
    text("documentType", |of| Some(&of.document_type));
    text("documentId", |of| Some(&of.document_id));
    text("issuingAuthority", |of| of.issuing_authority.as_deref());
    let until = |of: &id_document::Model| of.valid_until;
    members.value("validUntil", before.and_then(until), after.and_then(until), date);
    place(before.map(|of| of.position), after.map(|of| of.position), members);
}

/// By the field's id and the place in its group: what submissions name values by.
fn custom_value(
    before: Option<&custom_field_value::Model>,
    after: Option<&custom_field_value::Model>,
    definitions: &Definitions,
    found: &mut Vec<Member>,
) {
    let Some(row) = after.or(before) else { return };
    let field = definitions.field_of_key(&row.field_key);
    let id = field.map_or(row.field_key.as_str(), |field| &field.row.field_id);
    let mut members = Members::below(found, &["customInformation", id]);
    if row.group_index != NO_GROUP {
        members.scope.push(row.group_index.to_string());
    }
    members.set = field.map(|field| field.set.set_id.clone());
    let mut text = |name, of: fn(&custom_field_value::Model) -> Option<&str>| {
        members.text(name, before.and_then(of), after.and_then(of));
    };
    text("value", |of| of.value.as_deref());
    text("linkedKey", |of| of.linked_key.as_deref());
    place(before.map(|of| of.position), after.map(|of| of.position), &mut members);
}

/// A member's place in its list, from 0: so that a member without any value is recorded, too, and the order of all.
fn place(before: Option<i32>, after: Option<i32>, members: &mut Members<'_>) {
    members.value("position", before, after, i32::to_string);
}

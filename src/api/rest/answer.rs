//! Writes stored clients as legacy JSON: with its member names and their order, without nulls.

mod collections;

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::Response,
};
use chrono::{DateTime, NaiveDate, Utc};
use entity::client;
use serde::{Serialize, Serializer, ser::SerializeMap};

use clientele_domain::{client::Aggregate, definitions::Definitions};
use collections::{Address, Document, Values};

/// A response with a JSON body.
pub fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// A client without its collections.
pub struct Bare<'a>(pub &'a client::Model);

/// A client with its collections.
pub struct Expanded<'a> {
    pub client: &'a Aggregate,
    pub definitions: &'a Definitions,
    /// True for reads, whose answers include groups. There are none.
    pub with_groups: bool,
}

/// The members of one JSON object.
struct Members<M>(M);

impl<M: SerializeMap> Members<M> {
    fn of<S: Serializer<SerializeMap = M>>(serializer: S) -> Result<Self, S::Error> {
        serializer.serialize_map(None).map(Self)
    }

    fn put(&mut self, name: &'static str, value: impl Serialize) -> Result<(), M::Error> {
        self.0.serialize_entry(name, &value)
    }

    fn put_some(&mut self, name: &'static str, value: Option<impl Serialize>) -> Result<(), M::Error> {
        value.map_or(Ok(()), |value| self.put(name, value))
    }
}

struct Timestamp<'a>(&'a DateTime<Utc>);

impl Serialize for Timestamp<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.format("%Y-%m-%dT%H:%M:%S+0000"))
    }
}

/// A date as the timestamp of its start.
struct Midnight<'a>(&'a NaiveDate);

impl Serialize for Midnight<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}T00:00:00+0000", self.0))
    }
}

impl Serialize for Bare<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let client::Model {
            encoded_key,
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
            created_at,
            updated_at,
            approved_at,
            activated_at,
            closed_at,
            // Members that exist only in the GraphQL API.
            ..
        } = self.0;
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", encoded_key)?;
        members.put("state", state)?;
        members.put("id", client_id)?;
        members.put("creationDate", Timestamp(created_at))?;
        members.put("lastModifiedDate", Timestamp(updated_at))?;
        members.put_some("approvedDate", approved_at.as_ref().map(Timestamp))?;
        members.put_some("activationDate", activated_at.as_ref().map(Timestamp))?;
        members.put_some("closedDate", closed_at.as_ref().map(Timestamp))?;
        members.put("firstName", first_name)?;
        members.put("lastName", last_name)?;
        members.put_some("middleName", middle_name.as_ref())?;
        members.put_some("homePhone", home_phone.as_ref())?;
        members.put_some("emailAddress", email_address.as_ref())?;
        members.put_some("mobilePhone1", mobile_phone1.as_ref())?;
        members.put_some("mobilePhone2", mobile_phone2.as_ref())?;
        members.put_some("birthDate", birth_date.as_ref().map(Midnight))?;
        members.put_some("gender", gender.as_ref())?;
        members.put_some("notes", notes.as_ref())?;
        members.put_some("assignedUserKey", assigned_user_key.as_ref())?;
        members.put_some("assignedBranchKey", assigned_branch_key.as_ref())?;
        members.put_some("assignedCentreKey", assigned_centre_key.as_ref())?;
        // Loans are stored elsewhere.
        members.put("loanCycle", 0)?;
        members.put("groupLoanCycle", 0)?;
        members.put("clientRole", Role(client_role_key))?;
        members.put("preferredLanguage", preferred_language)?;
        members.0.end()
    }
}

struct Role<'a>(&'a str);

impl Serialize for Role<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = Members::of(serializer)?;
        members.put("encodedKey", self.0)?;
        members.0.end()
    }
}

impl Serialize for Expanded<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Aggregate {
            client,
            addresses,
            id_documents,
            custom_values,
        } = self.client;
        let mut members = Members::of(serializer)?;
        members.put("client", Bare(client))?;
        let values = custom_values.as_deref().unwrap_or_default();
        members.put(
            "customInformation",
            Values {
                values,
                definitions: self.definitions,
            },
        )?;
        members.put("idDocuments", each(id_documents, Document))?;
        members.put("addresses", each(addresses, Address))?;
        if self.with_groups {
            members.put("groupKeys", [(); 0])?;
        }
        members.0.end()
    }
}

fn each<'a, M, W>(rows: &'a Option<Vec<M>>, wire: fn(&'a M) -> W) -> Vec<W> {
    rows.iter().flatten().map(wire).collect()
}

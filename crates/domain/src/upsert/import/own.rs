//! The parts of an imported client that its line sets: keys, dates, its state and its version.

use std::collections::HashSet;

use chrono::Datelike;
use entity::client;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::ImportedClient;
use crate::{
    client::{Aggregate, LAST_VERSION},
    enums::ClientState,
};
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
    scalar::is_key,
};

const STATES: &str = "state must be PENDING_APPROVAL, INACTIVE, ACTIVE, EXITED, BLACKLISTED or REJECTED.";

impl ImportedClient {
    /// The problem of the member whose value doesn't fit its column.
    fn misfit(&self, client: &client::Model) -> Problem {
        let time = " must be a time such as 2026-01-31T09:30:00Z.";
        let forms = [
            ("created_at", "createdAt", time),
            ("updated_at", "updatedAt", time),
            ("approved_at", "approvedAt", time),
            ("activated_at", "activatedAt", time),
            ("closed_at", "closedAt", time),
            ("version", "version", " must be a whole number."),
            ("state", "state", " must be a text."),
            ("encoded_key", "encodedKey", " must be a text."),
            ("merged_into_key", "mergedIntoKey", " must be a text."),
        ];
        let is_misfit = |column: &str| {
            let alone = |value: &Value| Map::from_iter([(column.to_owned(), value.clone())]);
            let value = self.row.get(column);
            value.is_some_and(|value| overlaid(client, &alone(value)).is_none())
        };
        match forms.into_iter().find(|(column, ..)| is_misfit(column)) {
            Some((_, name, form)) => {
                let message = format!("{name}{form}");
                Problem::new(ProblemCode::Malformed, path!["client", name], message)
            }
            None => {
                let message = "A member of the client has the wrong form.";
                Problem::new(ProblemCode::Malformed, path!["client"], message)
            }
        }
    }

    /// Puts the client's own keys, dates, state and version into the rows of a new client.
    pub(super) fn with_own(&self, rows: Aggregate) -> Result<Aggregate, Problem> {
        let Aggregate {
            mut client,
            addresses,
            id_documents,
            custom_values,
        } = rows;
        if self.row.contains_key("state") {
            // The dates of its states are those of the file, not those of a new client.
            (client.approved_at, client.activated_at) = (None, None);
        }
        let client: client::Model = overlaid(&client, &self.row).ok_or_else(|| self.misfit(&client))?;
        let refuse = |name: &'static str, message: &'static str| {
            Err(Problem::new(ProblemCode::Malformed, path!["client", name], message))
        };
        if !is_key(&client.encoded_key) {
            return refuse("encodedKey", "encodedKey must have 1 to 32 letters and digits.");
        }
        if ClientState::parse(&client.state).is_none() {
            return refuse("state", STATES);
        }
        let dates = [
            ("createdAt", Some(client.created_at)),
            ("updatedAt", Some(client.updated_at)),
            ("approvedAt", client.approved_at),
            ("activatedAt", client.activated_at),
            ("closedAt", client.closed_at),
        ];
        for (name, date) in dates {
            if date.is_some_and(|date| !(1..=9_999).contains(&date.year())) {
                return refuse(name, "The year must be from 1 to 9999.");
            }
        }
        if !(1..=LAST_VERSION).contains(&client.version) {
            let message = format!("version must be from 1 to {LAST_VERSION}.");
            return Err(Problem::new(
                ProblemCode::Malformed,
                path!["client", "version"],
                message,
            ));
        }
        if let Some(into) = &client.merged_into_key {
            let is_exited = client.state == ClientState::Exited.as_str();
            match (is_key(into), is_exited) {
                (true, true) => {}
                (false, _) => {
                    return refuse(
                        "mergedIntoKey",
                        "mergedIntoKey must be a key: 1 to 32 letters and digits.",
                    );
                }
                (true, false) => {
                    return refuse(
                        "mergedIntoKey",
                        "Only an EXITED client has mergedIntoKey: leave it out.",
                    );
                }
            }
        }
        let key = &client.encoded_key;
        let mut addresses = addresses.unwrap_or_default();
        for (member, own) in addresses.iter_mut().zip(own_keys("addresses", &self.addresses)?) {
            member.client_key.clone_from(key);
            own.into_iter().for_each(|own| member.encoded_key.clone_from(own));
        }
        let mut id_documents = id_documents.unwrap_or_default();
        for (member, own) in id_documents
            .iter_mut()
            .zip(own_keys("idDocuments", &self.id_documents)?)
        {
            member.client_key.clone_from(key);
            own.into_iter().for_each(|own| member.encoded_key.clone_from(own));
        }
        let mut custom_values = custom_values.unwrap_or_default();
        for (member, own) in custom_values
            .iter_mut()
            .zip(own_keys("customInformation", &self.custom_values)?)
        {
            member.client_key.clone_from(key);
            own.into_iter().for_each(|own| member.encoded_key.clone_from(own));
        }
        Ok(Aggregate {
            client,
            addresses: Some(addresses),
            id_documents: Some(id_documents),
            custom_values: Some(custom_values),
        })
    }
}

/// The keys of a list's members, checked.
fn own_keys<'a>(
    list: &'static str,
    keys: &'a [Option<String>],
) -> Result<impl Iterator<Item = Option<&'a String>>, Problem> {
    let mut seen = HashSet::new();
    for (index, key) in keys.iter().enumerate() {
        let Some(key) = key else { continue };
        let (code, message) = match (is_key(key), seen.insert(key)) {
            (true, true) => continue,
            (false, _) => (
                ProblemCode::Malformed,
                "encodedKey must have 1 to 32 letters and digits.",
            ),
            (true, false) => (ProblemCode::Duplicate, "Two members of a list have the same key."),
        };
        return Err(Problem::new(code, path![list, index, "encodedKey"], message));
    }
    Ok(keys.iter().map(Option::as_ref))
}

/// The row with these columns; none if a value doesn't fit its column.
fn overlaid<M: Serialize + DeserializeOwned>(row: &M, columns: &Map<String, Value>) -> Option<M> {
    let Ok(Value::Object(mut all)) = serde_json::to_value(row) else {
        return None;
    };
    all.extend(columns.iter().map(|(name, value)| (name.clone(), value.clone())));
    serde_json::from_value(Value::Object(all)).ok()
}

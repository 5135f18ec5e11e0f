//! Turns a generated step into a request on the clients that exist at that moment.

use proptest::sample::Index;
use serde_json::json;

use super::{Door, Entry, Listed, Member, Named, Sent, Step, Submission, Target, VALUES};
use crate::upsert::model::{
    access::Access,
    rules::{Client, Model},
};

impl Step {
    /// The submission of this step, given the existing clients, and its caller.
    pub fn resolve(&self, model: &Model) -> (Submission, Door, Access) {
        let rest = self.door == Door::Rest;
        let mut submission = Submission {
            path: None,
            key: None,
            id: None,
            match_on_id: false,
            expected_version: self.expected_version.filter(|_| !rest),
            client: self.client.clone(),
            documents: Sent::Absent,
            addresses: Sent::Absent,
            values: Sent::Absent,
        };
        let pick = |index: &Index| (!model.clients.is_empty()).then(|| index.get(&model.clients));
        let mut present = None;
        match &self.target {
            Target::Create => {}
            Target::CreateWithId(id) => submission.id = Some(format!("chosen {id}")),
            Target::MatchOnId(id) => {
                submission.id = Some(format!("chosen {id}"));
                submission.match_on_id = !rest;
                present = model
                    .clients
                    .iter()
                    .find(|client| !rest && Some(&client.id) == submission.id.as_ref());
            }
            Target::Key(index) => {
                present = pick(index);
                submission.key = present.map(|client| client.key.clone());
            }
            Target::Path(index) | Target::PathAndKey(index, _) => {
                present = pick(index);
                // The choice between short id and key is as good as random.
                let name = |client: &Client| {
                    if model.clients.len().is_multiple_of(2) {
                        client.id.clone()
                    } else {
                        client.key.clone()
                    }
                };
                submission.path = present.filter(|_| rest).map(name);
                submission.key = present.filter(|_| !rest).map(|client| client.key.clone());
                if let (true, Target::PathAndKey(_, index)) = (rest, &self.target) {
                    submission.key = pick(index).map(|client| client.key.clone());
                }
            }
            Target::Unknown if rest && self.expected_version.is_none() => submission.path = Some("absent".to_owned()),
            Target::Unknown => submission.key = Some("absent".to_owned()),
        }
        if present.is_none() {
            // Most creations should succeed.
            for name in ["firstName", "lastName"] {
                let value = submission.client.entry(name).or_insert(Sent::Absent);
                if *value == Sent::Absent {
                    *value = Sent::Value(json!("Trevor"));
                }
            }
        }
        let documents: Vec<&str> = present
            .iter()
            .flat_map(|it| &it.documents)
            .map(|it| it.key.as_str())
            .collect();
        let address: Vec<&str> = present
            .iter()
            .flat_map(|it| &it.address)
            .map(|it| it.key.as_str())
            .collect();
        submission.documents = resolve_members(&self.documents, &documents, model, &["documentType", "documentId"]);
        submission.addresses = resolve_members(&self.addresses, &address, model, &[]);
        submission.values = match &self.values {
            Sent::Value(values) => Sent::Value(values.iter().map(|value| resolve_value(value, model)).collect()),
            Sent::Null => Sent::Null,
            Sent::Absent => Sent::Absent,
        };
        (submission, self.door, self.access)
    }
}

fn resolve_value((field, value, kind): &(Index, Index, u8), model: &Model) -> Entry {
    // The wrong ids at the end of the table come seldom.
    let (field, values) = if *kind == 0 {
        field.get(&VALUES)
    } else {
        field.get(&VALUES[..6])
    };
    let value = match kind {
        1 => Sent::Absent,
        2 => Sent::Null,
        // A link to an existing client, if any.
        3.. if *field == "friend" && !model.clients.is_empty() => Sent::Value(value.get(&model.clients).key.clone()),
        4.. => Sent::Value(values[0].to_owned()),
        _ => Sent::Value((*value.get(values)).to_owned()),
    };
    Entry { field, value }
}

fn resolve_members(
    sent: &Sent<Vec<Listed>>,
    own: &[&str],
    model: &Model,
    required: &[&'static str],
) -> Sent<Vec<Member>> {
    let list = match sent {
        Sent::Absent => return Sent::Absent,
        Sent::Null => return Sent::Null,
        Sent::Value(list) => list,
    };
    let everyone: Vec<&String> = model.keys.iter().filter(|key| !own.contains(&key.as_str())).collect();
    let mut named: Vec<String> = Vec::new();
    let resolve = |(name, members): &Listed| {
        let key = match name {
            Named::Own(index) if !own.is_empty() => Some((*index.get(own)).to_owned()),
            Named::Foreign(_) if everyone.is_empty() => Some("absent".to_owned()),
            Named::Foreign(index) => {
                // Sets have no order: sorted, the same sequence is the same again.
                let mut everyone = everyone.clone();
                everyone.sort();
                Some((*index.get(&everyone)).clone())
            }
            Named::New | Named::Own(_) => None,
        };
        let mut members = members.clone();
        let matched = key
            .as_ref()
            .is_some_and(|key| own.contains(&key.as_str()) && !named.contains(key));
        named.extend(key.clone());
        for name in required {
            let value = members.entry(name).or_insert(Sent::Absent);
            // The rules do not say which other problems of a member with a wrong key are reported.
            if !matched && (*value == Sent::Absent || key.is_some()) {
                *value = Sent::Value(json!("given"));
            }
        }
        Member { key, members }
    };
    Sent::Value(list.iter().map(resolve).collect())
}

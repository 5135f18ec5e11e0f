//! Turns a generated request into a submission about the clients that exist at that moment.

use serde_json::json;

use super::{Listed, Match, Member, Named, Removal, Request, Sent, Submission, Target, Way};
use crate::upsert::model::{
    access::Access,
    rules::{Client, Model, Stored},
};

/// The ids that clients can get.
fn id(number: u8, model: &Model) -> String {
    match number {
        // Another client's key is no id.
        3 => model
            .clients
            .first()
            .map_or("search".to_owned(), |client| client.key.clone()),
        4 => "search".to_owned(),
        5 => " ".to_owned(),
        number => format!("chosen {number}"),
    }
}

impl Target {
    /// The client that it names, if it exists.
    fn present<'a>(&self, way: Way, model: &'a Model) -> Option<&'a Client> {
        match self {
            Self::Key(index) | Self::Path(index) | Self::PathAndKey(index, _) => {
                (!model.clients.is_empty()).then(|| index.get(&model.clients))
            }
            Self::MatchOnId(number) if !way.is_rest() => {
                let id = id(*number, model);
                model.clients.iter().find(|client| client.id == id)
            }
            Self::MatchOnField(field, value) if way == Way::Upsert => model.holder(field, value),
            // These can't create a client.
            Self::Create | Self::CreateWithId(_) if way != Way::Post && way != Way::Upsert => model.clients.last(),
            _ => None,
        }
    }

    /// The id or key of the client to remove.
    pub fn name(&self, removal: Removal, model: &Model) -> String {
        let present = self.present(Way::State, model);
        let Some(client) = present else {
            return "absent".to_owned();
        };
        match removal {
            Removal::Rest if model.clients.len().is_multiple_of(2) => client.id.clone(),
            _ => client.key.clone(),
        }
    }
}

impl Request {
    /// The same request of another caller.
    pub fn by(&self, access: Access) -> Self {
        Self { access, ..self.clone() }
    }

    /// The submission, given the existing clients.
    pub fn resolve(&self, model: &Model) -> Submission {
        let present = self.target.present(self.way, model);
        let mut submission = Submission {
            way: self.way,
            access: self.access,
            path: None,
            key: None,
            id: None,
            matched: Match::Key,
            expected_version: None,
            validate_only: false,
            client: self.client.clone(),
            documents: Sent::Absent,
            addresses: Sent::Absent,
            values: Sent::Absent,
        };
        submission
            .client
            .insert("role", self.role.clone().map(|role| json!(role)));
        match self.way {
            Way::Post | Way::Upsert => self.name(present, model, &mut submission),
            Way::Patch | Way::State | Way::PatchValue | Way::PatchValues | Way::DeleteValue => {
                let name = present.map_or("absent", |client| match model.clients.len() % 2 {
                    0 => &client.id,
                    _ => &client.key,
                });
                submission.path = Some(name.to_owned());
            }
        }
        match self.way {
            Way::Post | Way::Upsert => self.complete(present, model, &mut submission),
            Way::Patch => submission.id = self.new_id.map(|number| id(number, model)),
            Way::State => submission.client.clear(),
            Way::PatchValue | Way::PatchValues | Way::DeleteValue => {
                submission.client.clear();
                submission.values = Sent::Value(self.partial(present, model));
            }
        }
        let state = self
            .state
            .filter(|_| self.way.is_patch() || self.way == Way::Post && self.validate_only);
        let state = state.or_else(|| (self.way == Way::State).then_some("ACTIVE"));
        if let Some(state) = state {
            submission.client.insert("state", Sent::Value(json!(state)));
        }
        if !self.way.is_rest() {
            submission.expected_version = self.expected_version;
        }
        submission.validate_only = self.validate_only && self.way == Way::Upsert;
        submission
    }

    /// Names the client of a POST or an upsert.
    fn name(&self, present: Option<&Client>, model: &Model, submission: &mut Submission) {
        let rest = self.way.is_rest();
        match &self.target {
            Target::Create => {}
            Target::CreateWithId(number) => submission.id = Some(id(*number, model)),
            Target::MatchOnId(number) => {
                submission.id = Some(id(*number, model));
                if !rest {
                    submission.matched = Match::Id;
                }
            }
            Target::MatchOnField(field, value) => {
                if !rest {
                    submission.matched = Match::Field(field, value);
                }
            }
            Target::Key(_) => submission.key = present.map(|client| client.key.clone()),
            Target::Path(_) | Target::PathAndKey(..) => {
                // The choice between short id and key is as good as random.
                let name = |client: &Client| match model.clients.len() % 2 {
                    0 => client.id.clone(),
                    _ => client.key.clone(),
                };
                submission.path = present.filter(|_| rest).map(name);
                submission.key = present.filter(|_| !rest).map(|client| client.key.clone());
                if let (true, Target::PathAndKey(_, index), false) = (rest, &self.target, model.clients.is_empty()) {
                    submission.key = Some(index.get(&model.clients).key.clone());
                }
            }
            Target::Unknown if rest && self.expected_version.is_none() => submission.path = Some("absent".to_owned()),
            Target::Unknown => submission.key = Some("absent".to_owned()),
        }
        // Clients are written whole, with the id that they have.
        if let (Some(client), Some(0), None) = (present, self.new_id, &submission.id) {
            submission.id = Some(client.id.clone());
        }
    }

    /// Adds the lists, and most of what is required.
    fn complete(&self, present: Option<&Client>, model: &Model, submission: &mut Submission) {
        if present.is_none() {
            for name in ["firstName", "lastName"] {
                let value = submission.client.entry(name).or_insert(Sent::Absent);
                if *value == Sent::Absent {
                    *value = Sent::Value(json!("Trevor"));
                }
            }
        }
        let keys = |members: &[Stored]| -> Vec<String> { members.iter().map(|member| member.key.clone()).collect() };
        let documents = present.map(|client| keys(&client.documents)).unwrap_or_default();
        let address = present.and_then(|client| client.address.clone());
        let address = keys(address.as_slice());
        let required = [("documentType", "Passport"), ("documentId", "A1")];
        submission.documents = members(&self.documents, &documents, model, &required);
        submission.addresses = members(&self.addresses, &address, model, &[]);
        submission.values = self.complete_values(present, model, &submission.client);
        if !self.is_completed {
            return;
        }
        let role = model.role_after(present, &submission.client);
        if !role.allows_addresses {
            submission.addresses = Sent::Absent;
        }
        let mandatory = model.definitions.templates.iter().any(|template| template.is_mandatory);
        let passport = || Member {
            key: None,
            members: [
                ("documentType", "Passport"),
                ("documentId", "A1"),
                ("templateKey", "passportKey"),
            ]
            .into_iter()
            .filter(|(name, _)| mandatory || *name != "templateKey")
            .map(|(name, value)| (name, Sent::Value(json!(value))))
            .collect(),
        };
        match &mut submission.documents {
            Sent::Value(list) if list.is_empty() && role.needs_document || mandatory => list.push(passport()),
            absent @ Sent::Absent if present.is_none() && (role.needs_document || mandatory) => {
                *absent = Sent::Value(vec![passport()]);
            }
            _ => {}
        }
    }
}

impl<T> Sent<T> {
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Sent<U> {
        match self {
            Self::Absent => Sent::Absent,
            Self::Null => Sent::Null,
            Self::Value(value) => Sent::Value(change(value)),
        }
    }
}

fn members(
    sent: &Sent<Vec<Listed>>,
    own: &[String],
    model: &Model,
    required: &[(&'static str, &'static str)],
) -> Sent<Vec<Member>> {
    let everyone: Vec<&String> = model.keys.iter().filter(|key| !own.contains(key)).collect();
    let mut named: Vec<String> = Vec::new();
    let resolve = |(name, members): &Listed| {
        let key = match name {
            Named::Own(index) if !own.is_empty() => Some(index.get(own).clone()),
            Named::Foreign(_) if everyone.is_empty() => Some("absent".to_owned()),
            Named::Foreign(index) => Some((*index.get(&everyone)).clone()),
            Named::New | Named::Own(_) => None,
        };
        let mut members = members.clone();
        let is_own = |key: &String| own.contains(key) && !named.contains(key);
        let matched = key.as_ref().is_some_and(is_own);
        named.extend(key.clone());
        for (name, value) in required {
            let sent = members.entry(name).or_insert(Sent::Absent);
            // The rules do not say which other problems of a member with a wrong key are reported.
            if !matched && (*sent == Sent::Absent || key.is_some()) {
                *sent = Sent::Value(json!(value));
            }
        }
        Member { key, members }
    };
    sent.clone().map(|list| list.iter().map(resolve).collect())
}

//! The contents of a record: the subject, the action and the members that changed.

use sea_orm::{EntityTrait, IdenStatic, ModelTrait, Value};
use serde::{Deserialize, Serialize};

use clientele_core::{scalar::DateTime, text_enum};

text_enum! {
    /// The kind of a changed object.
    #[graphql(name = "AuditSubject")]
    Subject {
        /// A client, with its addresses, documents and custom field values.
        Client = "CLIENT",
        /// A set of custom fields, with its fields.
        CustomFieldSet = "CUSTOM_FIELD_SET",
        /// A client role.
        ClientRole = "CLIENT_ROLE",
        /// A message template, with its variants.
        MessageTemplate = "MESSAGE_TEMPLATE",
        /// A user.
        User = "USER",
        /// An API token.
        Token = "TOKEN",
        /// The audit log itself: its start, or its continuation with another key.
        History = "HISTORY",
    }
}

text_enum! {
    /// The kind of a change.
    #[graphql(name = "AuditAction")]
    Action {
        /// The object was created.
        Created = "CREATED",
        /// The object was changed.
        Changed = "CHANGED",
        /// The object was deleted.
        Deleted = "DELETED",
        /// The contents of the object's earlier audit records were erased.
        Erased = "ERASED",
    }
}

impl Action {
    /// Returns the action on a subject that still exists, by its stored state before.
    pub fn of<T>(before: Option<T>) -> Self {
        match before {
            Some(_) => Self::Changed,
            None => Self::Created,
        }
    }
}

/// A chain of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain<'a> {
    /// The records of the client with this key.
    Client(&'a str),
    /// The records of custom field sets, client roles and message templates.
    Definitions,
    /// The records of users and their tokens.
    Users,
}

impl<'a> Chain<'a> {
    /// The chains that exist from the first start on. Their first record founds them.
    pub const SHARED: [Self; 2] = [Self::Definitions, Self::Users];

    /// Returns true if this is the name of a shared chain.
    pub(super) fn is_shared(name: &str) -> bool {
        Self::SHARED.iter().any(|chain| chain.name() == name)
    }

    /// The stored name. Client keys have only letters and digits, so that no client has a shared name.
    pub fn name(self) -> &'a str {
        match self {
            Self::Client(key) => key,
            Self::Definitions => "~definitions",
            Self::Users => "~users",
        }
    }
}

/// A change to record.
#[derive(Debug)]
pub struct Change<'a> {
    pub chain: Chain<'a>,
    pub subject: Subject,
    pub subject_key: &'a str,
    pub action: Action,
    pub members: Vec<Member>,
}

/// A member of a subject that changed, as text before and after; none if it had no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The path in the names of the GraphQL API, with the keys or ids of list members in between.
    pub path: Vec<String>,
    /// The id of its custom field set: only callers who may view the set see the values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// True if only the change is recorded, without the values.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl Member {
    /// A secret that changed.
    pub fn secret(name: &str) -> Self {
        Self {
            path: vec![name.to_owned()],
            set: None,
            secret: true,
            before: None,
            after: None,
        }
    }
}

/// Collects the members that differ below one path of a subject.
#[derive(Debug)]
pub struct Members<'a> {
    pub found: &'a mut Vec<Member>,
    pub scope: Vec<String>,
    pub set: Option<String>,
}

impl<'a> Members<'a> {
    pub fn new(found: &'a mut Vec<Member>) -> Self {
        Self::below(found, &[])
    }

    pub fn below(found: &'a mut Vec<Member>, scope: &[&str]) -> Self {
        Self {
            found,
            scope: scope.iter().map(|step| (*step).to_owned()).collect(),
            set: None,
        }
    }

    /// Adds the member if it differs.
    pub fn text(&mut self, name: &str, before: Option<&str>, after: Option<&str>) {
        if before != after {
            self.found.push(Member {
                path: self.scope.iter().cloned().chain([name.to_owned()]).collect(),
                set: self.set.clone(),
                secret: false,
                before: before.map(str::to_owned),
                after: after.map(str::to_owned),
            });
        }
    }

    /// Adds the columns in which two states of a row differ.
    pub fn columns<M: ModelTrait>(
        &mut self,
        before: Option<&M>,
        after: Option<&M>,
        columns: impl IntoIterator<Item = <M::Entity as EntityTrait>::Column>,
    ) {
        for column in columns {
            let [before, after] = [before, after].map(|row| row.map(|row| row.get(column)));
            if before != after {
                let [before, after] = [before, after].map(|value| value.and_then(text));
                self.text(&name(column.as_str()), before.as_deref(), after.as_deref());
            }
        }
    }
}

/// The GraphQL name of a column.
fn name(column: &str) -> String {
    match column {
        "client_role_key" => "clientRole".to_owned(),
        "kind" => "type".to_owned(),
        _ => {
            let mut words = column.split('_');
            let first = words.next().unwrap_or_default().to_owned();
            words.fold(first, |name, word| {
                let (initial, rest) = word.split_at(1);
                name + &initial.to_ascii_uppercase() + rest
            })
        }
    }
}

/// The text of a value; none for NULL.
fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => text,
        Value::Bool(value) => value.map(|value| value.to_string()),
        Value::Int(value) => value.map(|value| value.to_string()),
        Value::Double(value) => value.map(|value| value.to_string()),
        Value::ChronoDate(value) => value.map(|date| date.to_string()),
        Value::ChronoDateTimeUtc(value) => value.map(|instant| DateTime::text(&instant)),
        other => unreachable!("no recorded column has values like {other:?}"),
    }
}

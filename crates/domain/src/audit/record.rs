//! The contents of a record: the subject, the action and the members that changed.

use std::fmt;

use chrono::Utc;
use entity::audit_record;
use sea_orm::{EntityTrait, IdenStatic, ModelTrait, Value};
use serde::{Deserialize, Deserializer, Serialize, de::Visitor};

use clientele_core::{scalar::DateTime, text_enum};

// The members of a genesis record.
const KEY: &str = "key";
const UNRECORDED: &str = "clientsWithoutRecords";
const EARLIER: &str = "clientsUnderEarlierKeys";

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
        /// A template of identification documents.
        IdDocumentTemplate = "ID_DOCUMENT_TEMPLATE",
        /// A message template, with its variants.
        MessageTemplate = "MESSAGE_TEMPLATE",
        /// An entry of the suppression list. The record doesn't have the recipient.
        Suppression = "SUPPRESSION",
        /// A user.
        User = "USER",
        /// An API token.
        Token = "TOKEN",
        /// A session of a user.
        Session = "SESSION",
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
    /// The records of custom field sets, client roles, templates and the suppression list.
    Definitions,
    /// The records of users, their sessions and tokens.
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member<Text = String> {
    /// The path in the names of the GraphQL API, with the keys or ids of list members in between.
    pub path: Vec<Text>,
    /// The id of its custom field set: only callers who may view the set see the values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<Text>,
    /// True if only the change is recorded, without the values.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
    pub before: Option<Text>,
    pub after: Option<Text>,
}

impl Member {
    /// Returns true if these are the contents of a record.
    pub(super) fn can_read(contents: &str) -> bool {
        /// A text that isn't kept.
        struct ReadText;
        impl<'de> Deserialize<'de> for ReadText {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = ReadText;

                    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                        formatter.write_str("a text")
                    }

                    fn visit_str<E>(self, _: &str) -> Result<ReadText, E> {
                        Ok(ReadText)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
        serde_json::from_str::<Vec<Member<ReadText>>>(contents).is_ok()
    }

    /// The same change in the other direction.
    pub(crate) fn reversed(self) -> Self {
        Self {
            before: self.after,
            after: self.before,
            ..self
        }
    }

    /// A secret that changed.
    pub fn secret(name: &str) -> Self {
        Self {
            path: vec![name.to_owned()],
            secret: true,
            ..Self::default()
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
                self.text(&column_name(column.as_str()), before.as_deref(), after.as_deref());
            }
        }
    }
}

/// The contents of a genesis record, which begins the audit log or continues it with another key: it states how many
/// clients may lack records under that key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Genesis {
    /// The id of the key in use from then on.
    pub key_id: String,
    /// When the key came into use.
    pub since: chrono::DateTime<Utc>,
    /// The limit of clients without a record of their creation.
    pub unrecorded: i64,
    /// The limit of clients with records under earlier keys.
    pub earlier: i64,
}

impl Genesis {
    /// Reads the contents of a record. None if the record has another subject or can't be read.
    pub fn read(record: &audit_record::Model) -> Option<Self> {
        if record.subject != Subject::History.as_str() {
            return None;
        }
        let members: Vec<Member> = serde_json::from_str(record.contents.as_deref()?).ok()?;
        let after = |name: &str| {
            let mut members = members.iter();
            members.find(|member| member.path == [name])?.after.as_deref()
        };
        let number = |name: &str| after(name).map_or(Some(0), |text| text.parse().ok());
        Some(Self {
            key_id: after(KEY)?.to_owned(),
            since: record.recorded_at,
            unrecorded: number(UNRECORDED)?,
            earlier: number(EARLIER)?,
        })
    }

    /// Keeps the time of an earlier one: a key is in use since the first record that names it.
    pub fn after(self, earlier: Option<&Self>) -> Self {
        let earlier = earlier.filter(|earlier| earlier.key_id == self.key_id);
        let since = earlier.map_or(self.since, |earlier| earlier.since);
        Self { since, ..self }
    }

    /// Returns all members. Zero is left out: nothing is allowed unless a record says so.
    pub fn members(&self) -> Vec<Member> {
        let mut found = Vec::new();
        let mut members = Members::new(&mut found);
        members.text(KEY, None, Some(&self.key_id));
        for (name, number) in [(UNRECORDED, self.unrecorded), (EARLIER, self.earlier)] {
            let text = (number > 0).then(|| number.to_string());
            members.text(name, None, text.as_deref());
        }
        found
    }
}

/// The GraphQL name of a column.
pub(crate) fn column_name(column: &str) -> String {
    match column {
        "client_role_key" => "clientRole".to_owned(),
        "kind" => "type".to_owned(),
        "is_unique" => "unique".to_owned(),
        "is_mandatory" => "mandatory".to_owned(),
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

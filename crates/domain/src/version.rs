//! A client as of a version, from its audit records: forward from its creation, or back from the stored client.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use entity::{Table, address, client, id_document};
use sea_orm::{ColumnTrait, ColumnType, IdenStatic, Iterable};
use serde_json::Value;

use crate::{
    audit::{Action, Allowance, Direction, Member, Record, Records, Unreadable, column_name, is_hidden_now},
    caller::{Caller, Permission, Rights},
    client::{
        Aggregate, ClientParts, Clients,
        aggregate::{read_for_change, select_for_change},
    },
    client_by::ClientBy,
    definitions::Definitions,
    upsert::ClientDiff,
};
use clientele_core::{
    budget,
    error::Result,
    path,
    problem::{Problem, ProblemCode},
    scalar::DateTime,
};

/// A client as of a version.
#[derive(Clone, Debug)]
pub struct ClientVersion {
    /// Its custom field values are in `values`.
    pub client: Aggregate,
    /// In order, without those that the caller may not view.
    pub values: Vec<PastValue>,
    /// True if values were left out.
    pub hides_values: bool,
    /// The record of the change that made the version; none for a version from before the audit log.
    pub record: Option<Record>,
    /// The present definitions.
    pub definitions: Arc<Definitions>,
}

/// A custom field value as of a version. Its field can have been deleted since.
#[derive(Clone, Debug, PartialEq)]
pub struct PastValue {
    pub field_id: String,
    pub group_index: Option<i32>,
    pub value: Option<String>,
    pub linked_key: Option<String>,
}

impl Clients {
    /// Returns a client as of a version; none if there is no such client now. Values of custom field sets that the
    /// caller may not view are left out.
    ///
    /// # Errors
    /// The inner error is a problem with the version.
    pub async fn at_version(
        &self,
        caller: &Caller,
        by: &ClientBy,
        version: i32,
    ) -> Result<Result<Option<ClientVersion>, Problem>> {
        caller.require(Permission::Audit)?;
        caller.require(Permission::ViewClient)?;
        let refused = |message: &'static str| Ok(Err(Problem::new(ProblemCode::Invalid, path!["version"], message)));
        if version < 1 {
            return refused("It must be at least 1.");
        }
        let (connection, (condition, named)) = (self.db.read(), by.condition());
        if named.contains('\0') {
            return Ok(Ok(None));
        }
        let mut values = vec![named.into()];
        let limit = caller.rights.and_limit(connection.dialect, "c", &mut values);
        let select = select_for_change(connection.record_form(), ClientParts::ALL);
        let found = read_for_change(connection, format!("{select} WHERE {condition}{limit}"), values).await?;
        let Some((stored, head, definitions)) = found else {
            return Ok(Ok(None));
        };
        if version > stored.client.version {
            return refused("The client has no such version yet.");
        }
        budget::hold(stored.size())?;
        let replay = VersionReplay {
            position: head.count - i64::from(stored.client.version - version),
            count: head.count,
            version,
            definitions: self.definitions.at(definitions, connection).await?,
            stored,
            rights: &caller.rights,
        };
        match replay.read(self).await {
            Ok(client) => Ok(Ok(Some(client))),
            Err(unreadable) => {
                let advice = "Choose a version closer to the first or the last one.";
                unreadable.problem("version", "this version", advice).map(Err)
            }
        }
    }
}

/// The members of a client by their paths, each with its value in `after`.
type Members = BTreeMap<Vec<String>, Member>;

fn apply(member: Member, members: &mut Members) {
    match member.after {
        Some(_) => drop(members.insert(member.path.clone(), member)),
        None => drop(members.remove(&member.path)),
    }
}

/// Replays records up to a version.
struct VersionReplay<'a> {
    version: i32,
    /// The position of the record that made the version, and the number of records.
    position: i64,
    count: i64,
    stored: Aggregate,
    definitions: Arc<Definitions>,
    rights: &'a Rights,
}

impl VersionReplay<'_> {
    /// Replays in the shorter direction, and in the other one if its records are missing or erased. Both directions
    /// share one [`Allowance`].
    async fn read(self, clients: &Clients) -> Result<ClientVersion, Unreadable> {
        let (first, second) = match self.position <= self.count - self.position {
            true => (Direction::Forward, Direction::Back),
            false => (Direction::Back, Direction::Forward),
        };
        let mut allowance = Allowance::default();
        match self.read_in(first, clients, &mut allowance).await {
            Err(unreadable @ (Unreadable::Missing | Unreadable::Erased)) => {
                match self.read_in(second, clients, &mut allowance).await {
                    Err(Unreadable::Missing | Unreadable::Erased) => Err(unreadable),
                    found => found,
                }
            }
            found => found,
        }
    }

    async fn read_in(
        &self,
        way: Direction,
        clients: &Clients,
        allowance: &mut Allowance,
    ) -> Result<ClientVersion, Unreadable> {
        let (members, record) = self.replay(way, clients, allowance).await?;
        self.client(&members, record)
    }

    /// Returns the members as of the version, and its record.
    async fn replay(
        &self,
        way: Direction,
        clients: &Clients,
        allowance: &mut Allowance,
    ) -> Result<(Members, Option<Record>), Unreadable> {
        let (mut members, mut record) = (Members::new(), None);
        let records = match way {
            Direction::Forward if self.position > 0 => Records {
                after: 0,
                until: self.position,
            },
            Direction::Back if self.position >= 0 => {
                for member in ClientDiff::deletion(&self.stored).members(&self.definitions) {
                    apply(member.reversed(), &mut members);
                }
                // The record of the version itself is read, too.
                Records {
                    after: (self.position - 1).max(0),
                    until: self.count,
                }
            }
            Direction::Forward | Direction::Back => return Err(Unreadable::Missing),
        };
        let key = &self.stored.client.encoded_key;
        let replay = clients.audit.replay(key, records, way, allowance, |row, changed| {
            let is_own = row.position == self.position;
            if is_own {
                let own = Record::of(row, self.rights)?;
                record = Some(own.hide_values(&*self.definitions, self.rights));
            }
            let (is_first, is_creation) = (row.position == 1, row.action == Action::Created.as_str());
            let is_missing = match way {
                Direction::Forward => is_first != is_creation,
                Direction::Back => is_creation && !is_own,
            };
            if is_missing {
                return Err(Unreadable::Missing);
            }
            // On the way back, the change to the version itself stays.
            if way == Direction::Forward || !is_own {
                for member in changed.ok_or(Unreadable::Erased)? {
                    let member = match way {
                        Direction::Forward => member,
                        Direction::Back => member.reversed(),
                    };
                    apply(member, &mut members);
                }
            }
            Ok(())
        });
        replay.await?;
        Ok((members, record))
    }

    /// Builds the client of these members.
    fn client(&self, members: &Members, record: Option<Record>) -> Result<ClientVersion, Unreadable> {
        let texts = members.values().filter_map(|member| member.after.as_ref());
        budget::hold(texts.map(|text| size_of::<Member>() + text.len()).sum())?;
        let client::Model {
            encoded_key: key,
            created_at,
            updated_at,
            ..
        } = &self.stored.client;
        let instants = [created_at, record.as_ref().map_or(updated_at, |record| &record.at)].map(DateTime::text);
        let version = self.version.to_string();
        let mut own = Texts::from([
            ("encodedKey", key.as_str()),
            ("version", &version),
            ("createdAt", &instants[0]),
            ("updatedAt", &instants[1]),
        ]);
        let (mut addresses, mut documents, mut values) = (Entries::new(), Entries::new(), Entries::new());
        let mut hidden = BTreeSet::new();
        for member in members.values() {
            let path: Vec<&str> = member.path.iter().map(String::as_str).collect();
            let (texts, name) = match path[..] {
                [name] => (&mut own, name),
                ["addresses", key, name] => (addresses.entry((key, None)).or_default(), name),
                ["idDocuments", key, name] => (documents.entry((key, None)).or_default(), name),
                ["customInformation", field, name] => (values.entry((field, None)).or_default(), name),
                ["customInformation", field, group, name] => (values.entry((field, Some(group))).or_default(), name),
                _ => continue,
            };
            texts.insert(name, member.after.as_deref().unwrap_or_default());
            let is_hidden = is_hidden_now(&member.path, &*self.definitions, self.rights);
            if path[0] == "customInformation" && (is_hidden || !member.is_visible(self.rights)) {
                hidden.insert((path[1], (path.len() > 3).then(|| path[2])));
            }
        }
        values.retain(|id, _| !hidden.contains(id));
        Ok(ClientVersion {
            client: Aggregate {
                client: row::<client::Entity>(&own)?,
                addresses: Some(rows::<address::Entity>(key, addresses)?),
                id_documents: Some(rows::<id_document::Entity>(key, documents)?),
                custom_values: None,
            },
            values: ordered(values).into_iter().map(PastValue::of).collect(),
            hides_values: !hidden.is_empty(),
            record,
            definitions: Arc::clone(&self.definitions),
        })
    }
}

/// The texts of a row's columns, by their GraphQL names.
type Texts<'a> = BTreeMap<&'a str, &'a str>;

/// The entries of a list, by their keys, or by the ids of their fields and their groups.
type Entries<'a> = BTreeMap<(&'a str, Option<&'a str>), Texts<'a>>;

fn ordered(entries: Entries<'_>) -> Vec<((&str, Option<&str>), Texts<'_>)> {
    let mut entries: Vec<_> = entries.into_iter().collect();
    entries.sort_by_key(|(_, texts)| texts.get("position").and_then(|text| text.parse::<i32>().ok()));
    entries
}

fn rows<'a, E: Table>(client_key: &'a str, entries: Entries<'a>) -> Result<Vec<E::Model>, Unreadable> {
    let row = |((key, _), mut texts): (_, Texts<'a>)| {
        texts.extend([("clientKey", client_key), ("encodedKey", key)]);
        row::<E>(&texts)
    };
    ordered(entries).into_iter().map(row).collect()
}

/// Reads a row from the texts of its columns, as recorded.
fn row<E: Table>(texts: &Texts<'_>) -> Result<E::Model, Unreadable> {
    let value = |column: E::Column| {
        let Some(text) = texts.get(&*column_name(column.as_str())) else {
            return Value::Null;
        };
        match column.def().get_column_type() {
            ColumnType::Integer => text.parse::<i32>().map_or(Value::Null, Value::from),
            ColumnType::Boolean => text.parse::<bool>().map_or(Value::Null, Value::from),
            _ => Value::from(*text),
        }
    };
    let row = Value::Array(E::Column::iter().map(value).collect());
    serde_json::from_value(row).map_err(|error| {
        // The beginning of the error can have a personal value.
        let error = error.to_string();
        let error = error.rsplit(", ").next().unwrap_or_default();
        tracing::error!(table = E::table(), error, "audit records don't make a row");
        Unreadable::Missing
    })
}

impl PastValue {
    fn of(((field_id, group), texts): ((&str, Option<&str>), Texts<'_>)) -> Self {
        let text = |name| texts.get(name).map(|text| (*text).to_owned());
        Self {
            field_id: field_id.to_owned(),
            group_index: group.and_then(|group| group.parse().ok()),
            value: text("value"),
            linked_key: text("linkedKey"),
        }
    }
}

//! Finds objects by their global ids, all those of a request together. The number of statements depends on the number
//! of types only.

mod named;

use std::{collections::HashMap, hash::Hash, sync::Arc};

use async_graphql::{Context, ID, Result};
use entity::message;

pub(super) use self::named::message_key;
use self::named::{is_definition, needs, owner, record_key};
use super::{
    context::{caller, definitions, loaders, selection},
    global_id::GlobalId,
    load::{ClientKey, Loaders},
    load_plan::{LoadPlan, wanted},
    loaded::{LoadedData, too_large},
    node::Node,
    objects::{
        audit::AuditRecord,
        client::{Client, ClientRow},
        custom_field::{CustomFieldValue, ValueRow},
        definition::{ClientRole, CustomField, CustomFieldSet, FieldRow, SetRow},
        member::{Address, IdDocument},
        message::{Message, MessageRow},
        template::{MessageTemplate, TemplateRow},
        user::{Token, User},
    },
};
use clientele_core::error::Error;
use clientele_domain::{
    access::{self, Accounts},
    audit::{LARGEST_CONTENTS, Record, RecordKey},
    caller::{Caller, Permission, Readable, Unread},
    client::{Found, Wanted},
    definitions::Definitions,
    notify::MessageKey,
};
use graphql_server::object::{Object, Selection, text};

/// Finds the objects with these global ids and writes each as its own type. Objects that the caller may not view are
/// treated as unknown.
pub(super) async fn nodes(context: &Context<'_>, ids: &[ID]) -> Result<Vec<Option<Node>>> {
    let ids = visible(context, ids)?;
    let rows = Rows::load(context, &ids.iter().flatten().collect::<Vec<_>>()).await?;
    ids.iter()
        .enumerate()
        .map(|(at, id)| id.as_ref().map_or(Ok(None), |id| rows.write(context, id, Some(at))))
        .collect()
}

/// As [`nodes`], for one object.
pub(super) async fn node(context: &Context<'_>, id: ID) -> Result<Option<Node>> {
    let Some(Some(id)) = visible(context, &[id])?.pop() else {
        return Ok(None);
    };
    Rows::load(context, &[&id]).await?.write(context, &id, None)
}

/// The ids that can be decoded and that the caller may view.
fn visible(context: &Context<'_>, ids: &[ID]) -> Result<Vec<Option<GlobalId>>> {
    let caller = caller(context)?;
    let visible = |id: &GlobalId| needs(id).is_none_or(|permission| caller.may(permission));
    Ok(ids.iter().map(|id| GlobalId::decode(id).filter(visible)).collect())
}

/// The objects that the ids name, with the data around them if a row needs it.
struct Rows {
    /// The collections to read of a client.
    wanted: Wanted,
    clients: HashMap<ClientKey, Found>,
    messages: HashMap<MessageKey, Arc<message::Model>>,
    records: HashMap<RecordKey, Record>,
    users: Vec<access::User>,
    tokens: Vec<access::Token>,
    definitions: Option<Arc<Definitions>>,
    around_clients: Option<LoadedData>,
    around_values: Option<LoadedData>,
    around_messages: Option<LoadedData>,
}

impl Rows {
    async fn load(context: &Context<'_>, ids: &[&GlobalId]) -> Result<Self> {
        let (loaders, caller) = (loaders(context)?, caller(context)?);
        let (client, value, message) = (
            selection::<Client>(context)?,
            selection::<CustomFieldValue>(context)?,
            selection::<Message>(context)?,
        );
        let links: Vec<&Selection> = value.below("linkedClient").map(|field| &field.selection).collect();
        let (of_clients, of_values, of_messages) = (
            LoadPlan::of_clients(&[&client])?,
            LoadPlan::of_links(links)?,
            LoadPlan::of_messages(&[&message])?,
        );
        let wanted = wanted([&client]);
        let clients = loaders.load_many(ids.iter().filter_map(|id| owner(id, wanted))).await?;
        let clients = read(clients, caller)?;
        let messages = loaders.load_many(ids.iter().filter_map(|id| message_key(id))).await?;
        let messages = read(messages, caller)?;
        let records = records(ids, loaders, caller).await?;
        let (users, tokens) = accounts(context, ids).await?;
        let found = |is: fn(&GlobalId) -> bool| -> Vec<&Found> {
            let keys = ids.iter().filter(|id| is(id)).filter_map(|id| owner(id, wanted));
            keys.filter_map(|key| clients.get(&key)).collect()
        };
        let around_clients = around(
            found(|id| matches!(id, GlobalId::Client(_))),
            &of_clients,
            loaders,
            caller,
        )
        .await?;
        let values = found(|id| matches!(id, GlobalId::CustomFieldValue { .. }));
        let around_values = around(values, &of_values, loaders, caller).await?;
        let around_messages = if messages.is_empty() {
            None
        } else {
            let rows = messages.values().map(|message| &**message);
            Some(LoadedData::around_messages(rows, &of_messages, loaders, caller).await?)
        };
        Ok(Self {
            wanted,
            definitions: match ids.iter().any(|id| is_definition(id)) {
                true => Some(definitions(context).await?),
                false => None,
            },
            clients,
            messages,
            records,
            users,
            tokens,
            around_clients,
            around_values,
            around_messages,
        })
    }

    fn write(&self, context: &Context<'_>, id: &GlobalId, entry: Option<usize>) -> Result<Option<Node>> {
        let found = owner(id, self.wanted).and_then(|key| self.clients.get(&key));
        let aggregate = found.map(|found| &*found.client);
        let definitions = self.definitions.as_deref();
        match id {
            GlobalId::Client(_) => {
                let row = aggregate.zip(self.around_clients.as_ref());
                write::<Client>(
                    context,
                    row.map(|(aggregate, loaded)| ClientRow { aggregate, loaded }),
                    entry,
                )
            }
            GlobalId::Address { key, .. } => {
                let mut rows = aggregate.into_iter().flat_map(|row| row.addresses.iter().flatten());
                write::<Address>(context, rows.find(|row| row.encoded_key == *key), entry)
            }
            GlobalId::IdDocument { key, .. } => {
                let mut rows = aggregate.into_iter().flat_map(|row| row.id_documents.iter().flatten());
                write::<IdDocument>(context, rows.find(|row| row.encoded_key == *key), entry)
            }
            GlobalId::CustomFieldValue { key, .. } => {
                let mut rows = aggregate.into_iter().flat_map(|row| row.custom_values.iter().flatten());
                let row = rows
                    .find(|row| row.encoded_key == *key)
                    .zip(self.around_values.as_ref());
                write::<CustomFieldValue>(
                    context,
                    row.and_then(|(value, loaded)| ValueRow::of(value, loaded)),
                    entry,
                )
            }
            GlobalId::Message { .. } => {
                let message = message_key(id).and_then(|key| self.messages.get(&key));
                let row = message.zip(self.around_messages.as_ref());
                write::<Message>(
                    context,
                    row.map(|(message, loaded)| MessageRow { message, loaded }),
                    entry,
                )
            }
            GlobalId::CustomFieldSet(key) => {
                let row = |definitions| {
                    Some(SetRow {
                        set: Definitions::set_of_key(definitions, key)?,
                        definitions,
                    })
                };
                write::<CustomFieldSet>(context, definitions.and_then(row), entry)
            }
            GlobalId::CustomField(key) => {
                let row = |definitions| {
                    Some(FieldRow {
                        field: Definitions::field_of_key(definitions, key)?,
                        definitions,
                    })
                };
                write::<CustomField>(context, definitions.and_then(row), entry)
            }
            GlobalId::ClientRole(key) => write::<ClientRole>(
                context,
                definitions.and_then(|definitions| definitions.role_of_key(key)),
                entry,
            ),
            GlobalId::MessageTemplate(key) => {
                let rights = &*caller(context)?.rights;
                let row = |definitions| {
                    Some(TemplateRow {
                        template: Definitions::template_of_key(definitions, key)?,
                        definitions,
                        rights,
                    })
                };
                write::<MessageTemplate>(context, definitions.and_then(row), entry)
            }
            GlobalId::AuditRecord { .. } => {
                let record = record_key(id).and_then(|key| self.records.get(&key));
                write::<AuditRecord>(context, record, entry)
            }
            GlobalId::User(key) => {
                let mut rows = self.users.iter();
                write::<User>(context, rows.find(|row| row.row.encoded_key == *key), entry)
            }
            GlobalId::Token(key) => {
                let mut rows = self.tokens.iter();
                write::<Token>(context, rows.find(|row| row.row.encoded_key == *key), entry)
            }
        }
    }
}

/// The loaded objects, as the caller may view them.
fn read<K: Eq + Hash, T: Readable>(
    found: HashMap<K, Unread<T>>,
    caller: &Caller,
) -> Result<HashMap<K, T::Seen>, Error> {
    let read = found
        .into_iter()
        .map(|(key, unread)| Ok((key, unread.read_by(caller)?)));
    read.collect()
}

/// The records that the ids name; none for callers who may not view the audit log.
async fn records(ids: &[&GlobalId], loaders: &Loaders, caller: &Caller) -> Result<HashMap<RecordKey, Record>> {
    if !caller.may(Permission::Audit) {
        return Ok(HashMap::new());
    }
    let found = loaders.load_many(ids.iter().filter_map(|id| record_key(id))).await?;
    let mut records = HashMap::with_capacity(found.len());
    for (key, (record, bytes)) in read(found, caller)? {
        if bytes > LARGEST_CONTENTS {
            return Err(too_large().into());
        }
        records.insert(key, record);
    }
    Ok(records)
}

/// The users and tokens that the ids name; none for callers who may not manage them.
async fn accounts(context: &Context<'_>, ids: &[&GlobalId]) -> Result<(Vec<access::User>, Vec<access::Token>)> {
    let (mut users, mut tokens) = (Vec::new(), Vec::new());
    for id in ids {
        match id {
            GlobalId::User(key) => users.push(key.as_str()),
            GlobalId::Token(key) => tokens.push(key.as_str()),
            _ => {}
        }
    }
    let (service, caller) = (context.data::<Accounts>()?, caller(context)?);
    Ok((
        match users.is_empty() {
            true => Vec::new(),
            false => service.users_by_key(caller, &users).await?,
        },
        match tokens.is_empty() {
            true => Vec::new(),
            false => service.tokens_by_key(caller, &tokens).await?,
        },
    ))
}

async fn around(
    found: Vec<&Found>,
    load_plan: &LoadPlan<'_>,
    loaders: &Loaders,
    caller: &Caller,
) -> Result<Option<LoadedData>> {
    let Some(first) = found.first() else { return Ok(None) };
    let rows = found.iter().map(|found| &*found.client);
    Ok(Some(
        LoadedData::around(rows, load_plan, first.definitions.clone(), loaders, caller).await?,
    ))
}

fn write<T: Object>(context: &Context<'_>, row: Option<T::Row<'_>>, entry: Option<usize>) -> Result<Option<Node>> {
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Node(text::<T>(context, row, &selection::<T>(context)?, entry)?)))
}

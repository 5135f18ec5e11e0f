//! Finds objects by their global ids, all those of a request together. The number of statements depends on the number
//! of types only.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use async_graphql::{Context, ID, Result};
use entity::{message, suppression};

use super::{
    context::{caller, definitions, loaders, selection},
    global_id::GlobalId,
    load::{ClientKey, Loaders},
    load_plan::{LoadPlan, selected_parts},
    loaded::{LoadedData, too_large},
    node::Node,
    objects::{
        audit::AuditRecord,
        client::Client,
        custom_field::{CustomFieldValue, ValueRow},
        definition::{ClientRole, CustomField, CustomFieldSet, IdDocumentTemplate},
        member::{Address, IdDocument},
        message::Message,
        session::Session,
        suppression::Suppression,
        template::MessageTemplate,
        user::{Token, User},
    },
};
use clientele_core::error::Error;
use clientele_domain::{
    access::{self, Accounts},
    audit::{LARGEST_CONTENTS, Record, RecordKey},
    caller::{Caller, Permission, Restricted, Unchecked},
    client::{ClientParts, Found},
    definitions::Definitions,
    notify::{MessageKey, suppression::Suppressions},
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
    let visible = |id: &GlobalId| permission(id).is_none_or(|permission| caller.can(permission));
    Ok(ids.iter().map(|id| GlobalId::decode(id).filter(visible)).collect())
}

/// The permission to view an object. Definitions require none, and neither do the caller's own sessions.
fn permission(id: &GlobalId) -> Option<Permission> {
    match id {
        GlobalId::Client(_) | GlobalId::Address(..) | GlobalId::IdDocument(..) | GlobalId::CustomFieldValue(..) => {
            Some(Permission::ViewClient)
        }
        GlobalId::Message(..) | GlobalId::Suppression(_) => Some(Permission::ViewMessages),
        GlobalId::AuditRecord(..) => Some(Permission::Audit),
        GlobalId::User(_) | GlobalId::Token(_) => Some(Permission::ManageUsers),
        GlobalId::CustomFieldSet(_)
        | GlobalId::CustomField(_)
        | GlobalId::ClientRole(_)
        | GlobalId::IdDocumentTemplate(_)
        | GlobalId::MessageTemplate(_)
        | GlobalId::Session(_) => None,
    }
}

/// The client that an object is, or belongs to, and the collections to read of it: `own` of a client itself.
fn owner(id: &GlobalId, own: ClientParts) -> Option<ClientKey> {
    let mut parts = ClientParts::default();
    let key = match id {
        GlobalId::Client(key) => {
            parts = own;
            key
        }
        GlobalId::Address(key, _) => {
            parts.addresses = true;
            key
        }
        GlobalId::IdDocument(key, _) => {
            parts.id_documents = true;
            key
        }
        GlobalId::CustomFieldValue(key, _) => {
            parts.custom_values = true;
            key
        }
        _ => return None,
    };
    let key = key.clone();
    Some(ClientKey { key, parts })
}

/// The message that an id names, if it names one.
pub(super) fn message_key(id: &GlobalId) -> Option<MessageKey> {
    let GlobalId::Message(client_key, key) = id else {
        return None;
    };
    Some(MessageKey {
        client_key: client_key.clone(),
        encoded_key: key.clone(),
    })
}

/// The audit record that an id names, if it names one.
fn record_key(id: &GlobalId) -> Option<RecordKey> {
    let GlobalId::AuditRecord(chain, position) = id else {
        return None;
    };
    let (chain, position) = (chain.clone(), position.parse().ok()?);
    Some(RecordKey { chain, position })
}

/// The objects that the ids name, with the data around them if a row needs it.
struct Rows {
    /// The collections to read of a client.
    parts: ClientParts,
    clients: HashMap<ClientKey, Found>,
    messages: HashMap<MessageKey, Arc<message::Model>>,
    records: HashMap<RecordKey, Record>,
    users: Vec<access::User>,
    tokens: Vec<access::Token>,
    sessions: Vec<access::Session>,
    suppressions: Vec<suppression::Model>,
    definitions: Option<Arc<Definitions>>,
    around_clients: Option<LoadedData>,
    around_values: Option<LoadedData>,
    around_messages: Option<LoadedData>,
}

impl Rows {
    async fn load(context: &Context<'_>, ids: &[&GlobalId]) -> Result<Self> {
        let (loaders, caller) = (loaders(context)?, caller(context)?);
        let client = selection::<Client>(context)?;
        let value = selection::<CustomFieldValue>(context)?;
        let message = selection::<Message>(context)?;
        let links: Vec<&Selection> = value.below("linkedClient").map(|field| &field.selection).collect();
        let of_clients = LoadPlan::of_clients(&[&client])?;
        let of_values = LoadPlan::of_links(links)?;
        let of_messages = LoadPlan::of_messages(&[&message])?;
        let parts = selected_parts([&*client]);
        let clients = loaders.load_many(ids.iter().filter_map(|id| owner(id, parts))).await?;
        let clients = read(clients, caller)?;
        let messages = loaders.load_many(ids.iter().filter_map(|id| message_key(id))).await?;
        let messages = read(messages, caller)?;
        let records = records(ids, loaders, caller).await?;
        let (users, tokens, sessions) = accounts(context, ids).await?;
        let suppressions = suppressions(context, ids).await?;
        let found = |is: fn(&GlobalId) -> bool| -> Vec<&Found> {
            let keys = ids.iter().filter(|id| is(id)).filter_map(|id| owner(id, parts));
            keys.filter_map(|key| clients.get(&key)).collect()
        };
        let rows = found(|id| matches!(id, GlobalId::Client(_)));
        let around_clients = around(rows, &of_clients, loaders, caller).await?;
        let rows = found(|id| matches!(id, GlobalId::CustomFieldValue(..)));
        let around_values = around(rows, &of_values, loaders, caller).await?;
        let around_messages = if messages.is_empty() {
            None
        } else {
            let rows = messages.values().map(|message| &**message);
            Some(LoadedData::around_messages(rows, &of_messages, loaders, caller).await?)
        };
        Ok(Self {
            parts,
            definitions: match ids.iter().any(|id| permission(id).is_none()) {
                true => Some(definitions(context).await?),
                false => None,
            },
            clients,
            messages,
            records,
            users,
            tokens,
            sessions,
            suppressions,
            around_clients,
            around_values,
            around_messages,
        })
    }

    fn write(&self, context: &Context<'_>, id: &GlobalId, entry: Option<usize>) -> Result<Option<Node>> {
        let found = owner(id, self.parts).and_then(|key| self.clients.get(&key));
        let client = found.map(|found| &*found.client);
        let all = self.definitions.as_deref();
        match id {
            GlobalId::Client(_) => write::<Client>(context, client.zip(self.around_clients.as_ref()), entry),
            GlobalId::Address(_, key) => {
                let mut rows = client.into_iter().flat_map(|row| row.addresses.iter().flatten());
                write::<Address>(context, rows.find(|row| row.encoded_key == *key), entry)
            }
            GlobalId::IdDocument(_, key) => {
                let mut rows = client.into_iter().flat_map(|row| row.id_documents.iter().flatten());
                let row = rows.find(|row| row.encoded_key == *key);
                let row = row.zip(found.map(|found| &*found.definitions));
                write::<IdDocument>(context, row, entry)
            }
            GlobalId::CustomFieldValue(_, key) => {
                let mut rows = client.into_iter().flat_map(|row| row.custom_values.iter().flatten());
                let row = rows
                    .find(|row| row.encoded_key == *key)
                    .zip(self.around_values.as_ref());
                let row = row.and_then(|(value, loaded)| ValueRow::of(value, loaded));
                write::<CustomFieldValue>(context, row, entry)
            }
            GlobalId::Message(..) => {
                let row = message_key(id).and_then(|key| self.messages.get(&key));
                let row = row.map(|message| &**message).zip(self.around_messages.as_ref());
                write::<Message>(context, row, entry)
            }
            GlobalId::CustomFieldSet(key) => {
                let row = all.and_then(|all| Some((all.set_of_key(key)?, all)));
                write::<CustomFieldSet>(context, row, entry)
            }
            GlobalId::CustomField(key) => {
                let row = all.and_then(|all| Some((all.field_of_key(key)?, all)));
                write::<CustomField>(context, row, entry)
            }
            GlobalId::ClientRole(key) => {
                let row = all.and_then(|all| Some((all.role_of_key(key)?, all)));
                write::<ClientRole>(context, row, entry)
            }
            GlobalId::IdDocumentTemplate(key) => {
                let row = all.and_then(|all| all.document_template_of_key(key));
                write::<IdDocumentTemplate>(context, row, entry)
            }
            GlobalId::MessageTemplate(key) => {
                let rights = &*caller(context)?.rights;
                let row = all.and_then(|all| Some((&**all.template_of_key(key)?, all, rights)));
                write::<MessageTemplate>(context, row, entry)
            }
            GlobalId::AuditRecord(..) => {
                let row = record_key(id).and_then(|key| self.records.get(&key));
                write::<AuditRecord>(context, row, entry)
            }
            GlobalId::User(key) => write::<User>(
                context,
                self.users.iter().find(|user| user.row.encoded_key == *key),
                entry,
            ),
            GlobalId::Token(key) => write::<Token>(
                context,
                self.tokens.iter().find(|token| token.row.encoded_key == *key),
                entry,
            ),
            GlobalId::Session(key) => write::<Session>(
                context,
                self.sessions.iter().find(|session| session.row.encoded_key == *key),
                entry,
            ),
            GlobalId::Suppression(key) => write::<Suppression>(
                context,
                self.suppressions.iter().find(|row| row.encoded_key == *key),
                entry,
            ),
        }
    }
}

/// The loaded objects, as the caller may view them.
fn read<K: Eq + Hash, T: Restricted>(
    found: HashMap<K, Unchecked<T>>,
    caller: &Caller,
) -> Result<HashMap<K, T::View>, Error> {
    let read = found
        .into_iter()
        .map(|(key, unread)| Ok((key, unread.authorize(caller)?)));
    read.collect()
}

/// The records that the ids name; none for callers who may not view the audit log.
async fn records(ids: &[&GlobalId], loaders: &Loaders, caller: &Caller) -> Result<HashMap<RecordKey, Record>> {
    if !caller.can(Permission::Audit) {
        return Ok(HashMap::new());
    }
    let found = loaders.load_many(ids.iter().filter_map(|id| record_key(id))).await?;
    let definitions = loaders.loader().definitions_to_mask(&caller.rights).await?;
    let mut records = HashMap::with_capacity(found.len());
    for (key, (record, bytes)) in read(found, caller)? {
        if bytes > LARGEST_CONTENTS {
            return Err(too_large().into());
        }
        records.insert(key, record.hide_values(&*definitions, &caller.rights));
    }
    Ok(records)
}

/// The users, tokens and sessions that the ids name, as far as the caller may view them.
async fn accounts(
    context: &Context<'_>,
    ids: &[&GlobalId],
) -> Result<(Vec<access::User>, Vec<access::Token>, Vec<access::Session>)> {
    let (mut users, mut tokens, mut sessions) = (Vec::new(), Vec::new(), Vec::new());
    for id in ids {
        match id {
            GlobalId::User(key) => users.push(key.as_str()),
            GlobalId::Token(key) => tokens.push(key.as_str()),
            GlobalId::Session(key) => sessions.push(key.as_str()),
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
        match sessions.is_empty() {
            true => Vec::new(),
            false => service.sessions_by_key(caller, &sessions, super::now()).await?,
        },
    ))
}

/// The entries of the suppression list that the ids name, as far as the caller may view them.
async fn suppressions(context: &Context<'_>, ids: &[&GlobalId]) -> Result<Vec<suppression::Model>> {
    let key = |id: &&GlobalId| match id {
        GlobalId::Suppression(key) => Some(key.clone()),
        _ => None,
    };
    let keys: Vec<String> = ids.iter().filter_map(key).collect();
    match keys.is_empty() {
        true => Ok(Vec::new()),
        false => Ok(context.data::<Suppressions>()?.by_keys(caller(context)?, &keys).await?),
    }
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
    Ok(Some(Node(text::<T>(context, row, &*selection::<T>(context)?, entry)?)))
}

//! Finding an object by its global id, whatever its type.

use std::sync::Arc;

use async_graphql::{Context, Result};
use tokio::sync::OnceCell;

use super::{
    load::ClientKey,
    node::{GlobalId, Node},
    object::{Object, text},
    objects::{
        client::{Client, ClientRow},
        custom_field::{CustomFieldValue, ValueRow},
        definition::{ClientRole, CustomField, CustomFieldSet, FieldRow, SetRow},
        member::{Address, IdDocument},
        message::{Message, MessageRow},
    },
    query::{definitions, loaders, plan},
    reach::{Reach, wanted},
    world::World,
};
use crate::{
    client::{Aggregate, Wanted},
    custom_field::Definitions,
    notify::MessageKey,
};

/// The definitions, for all ids of one list: read once, and only when one of them asks.
pub(super) type Known = OnceCell<Arc<Definitions>>;

/// Finds an object by its global id and writes it as the type it is.
pub(super) async fn node(context: &Context<'_>, id: &str, known: &Known) -> Result<Option<Node>> {
    let Some(id) = GlobalId::decode(id) else {
        return Ok(None);
    };
    let (client_key, own) = match &id {
        GlobalId::Client(key) => (key, wanted([&plan::<Client>(context)])),
        GlobalId::Address { client_key, .. } => (
            client_key,
            Wanted {
                addresses: true,
                ..Wanted::default()
            },
        ),
        GlobalId::IdDocument { client_key, .. } => (
            client_key,
            Wanted {
                id_documents: true,
                ..Wanted::default()
            },
        ),
        GlobalId::CustomFieldValue { client_key, .. } => (
            client_key,
            Wanted {
                custom_values: true,
                ..Wanted::default()
            },
        ),
        GlobalId::Message { client_key, key } => {
            let (client_key, encoded_key) = (client_key.clone(), key.clone());
            return message(
                context,
                MessageKey {
                    client_key,
                    encoded_key,
                },
            )
            .await;
        }
        GlobalId::CustomFieldSet(_) | GlobalId::CustomField(_) | GlobalId::ClientRole(_) => {
            return definition(context, &id, known).await;
        }
    };
    let client = plan::<Client>(context);
    let value = plan::<CustomFieldValue>(context);
    let reach = match &id {
        GlobalId::Client(_) => Reach::of_clients(&[&client])?,
        GlobalId::CustomFieldValue { .. } => {
            Reach::of_links(value.below("linkedClient").map(|step| &step.plan).collect())?
        }
        _ => Reach::default(),
    };
    let loaders = loaders(context)?;
    let key = ClientKey {
        key: client_key.clone(),
        wanted: own,
    };
    let Some(found) = loaders.load_one(key).await.map_err(async_graphql::Error::from)? else {
        return Ok(None);
    };
    let world = World::around([&*found.client], &reach, found.definitions, loaders).await?;
    member(context, &id, &found.client, &world)
}

/// A client, or one of the members of its collections.
fn member(context: &Context<'_>, id: &GlobalId, aggregate: &Aggregate, world: &World) -> Result<Option<Node>> {
    match id {
        GlobalId::Client(_) => write::<Client>(context, Some(ClientRow { aggregate, world })),
        GlobalId::Address { key, .. } => write::<Address>(
            context,
            aggregate.addresses.iter().flatten().find(|row| row.encoded_key == *key),
        ),
        GlobalId::IdDocument { key, .. } => write::<IdDocument>(
            context,
            aggregate
                .id_documents
                .iter()
                .flatten()
                .find(|row| row.encoded_key == *key),
        ),
        GlobalId::CustomFieldValue { key, .. } => {
            let value = aggregate
                .custom_values
                .iter()
                .flatten()
                .find(|row| row.encoded_key == *key);
            write::<CustomFieldValue>(context, value.and_then(|value| ValueRow::of(value, world)))
        }
        GlobalId::Message { .. } | GlobalId::CustomFieldSet(_) | GlobalId::CustomField(_) | GlobalId::ClientRole(_) => {
            Ok(None)
        }
    }
}

async fn message(context: &Context<'_>, key: MessageKey) -> Result<Option<Node>> {
    let plan = plan::<Message>(context);
    let reach = Reach::of_messages(&[&plan])?;
    let loaders = loaders(context)?;
    let Some(message) = loaders.load_one(key).await.map_err(async_graphql::Error::from)? else {
        return Ok(None);
    };
    let world = World::around_messages([&*message], &reach, loaders).await?;
    let row = MessageRow {
        message: &message,
        world: &world,
    };
    write::<Message>(context, Some(row))
}

async fn definition(context: &Context<'_>, id: &GlobalId, known: &Known) -> Result<Option<Node>> {
    let definitions = &**known.get_or_try_init(|| definitions(context)).await?;
    match id {
        GlobalId::CustomFieldSet(key) => write::<CustomFieldSet>(
            context,
            definitions.set_of_key(key).map(|set| SetRow { set, definitions }),
        ),
        GlobalId::CustomField(key) => write::<CustomField>(
            context,
            definitions
                .field_of_key(key)
                .map(|field| FieldRow { field, definitions }),
        ),
        GlobalId::ClientRole(key) => write::<ClientRole>(context, definitions.role_of_key(key)),
        GlobalId::Client(_)
        | GlobalId::Address { .. }
        | GlobalId::IdDocument { .. }
        | GlobalId::CustomFieldValue { .. }
        | GlobalId::Message { .. } => Ok(None),
    }
}

fn write<T: Object>(context: &Context<'_>, row: Option<T::Row<'_>>) -> Result<Option<Node>> {
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Node(text::<T>(context, row, &plan::<T>(context))?)))
}

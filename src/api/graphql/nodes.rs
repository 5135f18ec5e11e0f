//! Finding an object by its global id, whatever its type.

use std::sync::Arc;

use async_graphql::{Context, Result};
use tokio::sync::OnceCell;

use super::{
    load::{ClientKey, World, linked, wanted},
    node::{GlobalId, Node},
    object::{Object, text},
    objects::{
        client::{Client, ClientRow},
        custom_field::{CustomFieldValue, ValueRow},
        definition::{ClientRole, CustomField, CustomFieldSet, FieldRow, SetRow},
        member::{Address, IdDocument},
        template::{MessageTemplate, TemplateRow},
    },
    query::{definitions, loader, plan},
};
use crate::{
    client::{Aggregate, Wanted},
    custom_field::Definitions,
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
        GlobalId::CustomFieldSet(_)
        | GlobalId::CustomField(_)
        | GlobalId::ClientRole(_)
        | GlobalId::MessageTemplate(_) => {
            return definition(context, &id, known).await;
        }
    };
    let loader = loader(context)?;
    let key = ClientKey {
        key: client_key.clone(),
        wanted: own,
    };
    let Some(found) = loader.load_one(key).await.map_err(async_graphql::Error::from)? else {
        return Ok(None);
    };
    let client = plan::<Client>(context);
    let value = plan::<CustomFieldValue>(context);
    let plans = match &id {
        GlobalId::Client(_) => linked(&[&client]),
        GlobalId::CustomFieldValue { .. } => value.below("linkedClient").map(|step| &step.plan).collect(),
        _ => Vec::new(),
    };
    let world = World::around([&*found.client], plans, found.definitions, loader).await?;
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
        GlobalId::CustomFieldSet(_)
        | GlobalId::CustomField(_)
        | GlobalId::ClientRole(_)
        | GlobalId::MessageTemplate(_) => Ok(None),
    }
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
        GlobalId::MessageTemplate(key) => write::<MessageTemplate>(
            context,
            definitions
                .template_of_key(key)
                .map(|template| TemplateRow { template, definitions }),
        ),
        GlobalId::Client(_)
        | GlobalId::Address { .. }
        | GlobalId::IdDocument { .. }
        | GlobalId::CustomFieldValue { .. } => Ok(None),
    }
}

fn write<T: Object>(context: &Context<'_>, row: Option<T::Row<'_>>) -> Result<Option<Node>> {
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Node(text::<T>(context, row, &plan::<T>(context))?)))
}

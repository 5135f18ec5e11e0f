//! The fields of the query root. Each reads its arguments, loads the data of its selection and writes its object.

use async_graphql::{Context, ID, Object as Root, OneofObject, Result};

use super::{
    client_by::ClientBy,
    context::{caller, definitions, loaders, selection},
    global_id::GlobalId,
    load_plan::{LoadPlan, asked, selected, wanted},
    loaded::LoadedData,
    messages::{self, MessageFilter},
    node::Node,
    nodes,
    objects::{
        client::{Client, ClientRow},
        connection::{Connection, PageRow},
        definition::{ClientRole, CustomField, CustomFieldSet, FieldRow, SetRow},
        message::Message,
        template::{MessagePreview, MessageTemplate, TemplateRow},
    },
    page::{LARGEST_PAGE, PageArguments, of_argument},
};
use clientele_domain::{
    client::{ClientFilter, ClientOrder, Clients},
    enums::Language,
    notify::template::Templates,
};
use graphql_server::{
    Code, GraphqlError,
    object::{RawObject, Selection},
};

/// Reads the bank's clients and the definitions they follow.
pub struct Query;

/// Names a custom field, in one of these ways.
#[derive(OneofObject)]
enum CustomFieldBy {
    /// By its global id.
    Id(ID),
    /// By its key.
    EncodedKey(String),
    /// By the id that submissions name it by.
    FieldId(String),
}

/// Reads the bank's clients and the definitions they follow.
#[Root(name = "ClientQuery")]
impl Query {
    /// The object with this global id, whatever its type; null when there is none that you may see.
    async fn node(&self, context: &Context<'_>, #[graphql(desc = "The global id.")] id: ID) -> Result<Option<Node>> {
        nodes::node(context, id).await
    }

    /// The objects with these global ids, in their order, with null for those that don't exist or that you may not see.
    /// At most 500.
    async fn nodes(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The global ids.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > LARGEST_PAGE as usize {
            let message = format!("Ask for at most {LARGEST_PAGE} ids; there are {}.", ids.len());
            return Err(GraphqlError::new(Code::BadUserInput, message).into());
        }
        nodes::nodes(context, &ids).await
    }

    /// A client; null when there is none.
    async fn client(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which client.")] by: ClientBy,
    ) -> Result<Option<RawObject<Client>>> {
        let Some(named) = by.named() else { return Ok(None) };
        let selection = selection::<Client>(context)?;
        let load_plan = LoadPlan::of_clients(&[&selection])?;
        let Some((aggregate, definitions)) = context
            .data::<Clients>()?
            .get(caller(context)?, &named, wanted([&selection]))
            .await?
        else {
            return Ok(None);
        };
        let loaded = LoadedData::around(
            [&aggregate],
            &load_plan,
            definitions,
            loaders(context)?,
            caller(context)?,
        )
        .await?;
        Ok(Some(RawObject::object(
            context,
            ClientRow {
                aggregate: &aggregate,
                loaded: &loaded,
            },
            &selection,
        )?))
    }

    /// A page of clients. Cursors name a place in the order, not a number: no client is
    /// skipped or repeated because others come and go.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are the arguments that Relay gives a connection"
    )]
    async fn clients(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which clients; all of them without it.")] filter: Option<ClientFilter>,
        #[graphql(desc = "The order; by creation without it.")] order_by: Option<ClientOrder>,
        #[graphql(desc = "How many from the start, or after `after`: 50 unless given, at most 500.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only clients after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, or before `before`: at most 500. Not together with `first`.")]
        last: Option<i32>,
        #[graphql(desc = "Only clients before this cursor.")] before: Option<String>,
    ) -> Result<RawObject<Connection<Client>>> {
        let (filter, order) = (filter.unwrap_or_default(), order_by.unwrap_or_default());
        let arguments = PageArguments {
            first: first.map(i64::from),
            after,
            last: last.map(i64::from),
            before,
        };
        let range = arguments.range("clients", "")?;
        let selection = selection::<Connection<Client>>(context)?;
        let selections: Vec<&Selection> = selected(&selection).collect();
        let load_plan = LoadPlan::of_clients(&selections)?;
        let of_argument = |problem| of_argument("", &problem);
        let (clients, caller) = (context.data::<Clients>()?, caller(context)?);
        let asked = asked(&selection);
        let wanted = asked.rows.then(|| wanted(selections.iter().copied()));
        let page = clients
            .page(caller, &filter, order, &range, wanted, asked.total)
            .await?
            .map_err(of_argument)?;
        let loaded = LoadedData::around(
            &page.clients.rows,
            &load_plan,
            page.definitions.clone(),
            loaders(context)?,
            caller,
        )
        .await?;
        let row = PageRow {
            page: &page,
            loaded: &loaded,
            total: page.total,
        };
        RawObject::object(context, row, &selection)
    }

    /// A page of the messages to clients, newest first: by `createdAt`, then by `encodedKey`. Cursors name a place in
    /// this order, not a number: no message is skipped or repeated because others come.
    async fn messages(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which messages; all of them without it.")] filter: Option<MessageFilter>,
        #[graphql(desc = "How many from the start, or after `after`: 50 unless given, at most 500.")] first: Option<
            i32,
        >,
        #[graphql(desc = "Only messages after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end, or before `before`: at most 500. Not together with `first`.")]
        last: Option<i32>,
        #[graphql(desc = "Only messages before this cursor.")] before: Option<String>,
    ) -> Result<RawObject<Connection<Message>>> {
        let arguments = PageArguments {
            first: first.map(i64::from),
            after,
            last: last.map(i64::from),
            before,
        };
        messages::page(context, filter.unwrap_or_default(), arguments).await
    }

    /// All sets of custom fields, in their order.
    async fn custom_field_sets(&self, context: &Context<'_>) -> Result<Vec<RawObject<CustomFieldSet>>> {
        let definitions = definitions(context).await?;
        let selection = selection::<CustomFieldSet>(context)?;
        let rows = definitions.sets.iter().map(|set| SetRow {
            set,
            definitions: &definitions,
        });
        rows.map(|row| RawObject::object(context, row, &selection))
            .collect::<Result<_>>()
    }

    /// The definition of a custom field; null when there is none.
    async fn custom_field(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Which custom field.")] by: CustomFieldBy,
    ) -> Result<Option<RawObject<CustomField>>> {
        let definitions = definitions(context).await?;
        let field = match by {
            CustomFieldBy::EncodedKey(key) => definitions.field_of_key(&key),
            CustomFieldBy::FieldId(id) => definitions.field(&id),
            CustomFieldBy::Id(id) => match GlobalId::decode(&id) {
                Some(GlobalId::CustomField(key)) => definitions.field_of_key(&key),
                _ => None,
            },
        };
        let row = field.map(|field| FieldRow {
            field,
            definitions: &definitions,
        });
        let selection = selection::<CustomField>(context)?;
        row.map(|row| RawObject::object(context, row, &selection)).transpose()
    }

    /// All client roles, in their order.
    async fn client_roles(&self, context: &Context<'_>) -> Result<Vec<RawObject<ClientRole>>> {
        let selection = selection::<ClientRole>(context)?;
        let definitions = definitions(context).await?;
        definitions
            .roles
            .iter()
            .map(|role| RawObject::object(context, role, &selection))
            .collect::<Result<_>>()
    }

    /// All message templates, in the order of their creation.
    async fn message_templates(&self, context: &Context<'_>) -> Result<Vec<RawObject<MessageTemplate>>> {
        let selection = selection::<MessageTemplate>(context)?;
        let definitions = &*definitions(context).await?;
        let rights = &*caller(context)?.rights;
        let rows = definitions.templates.iter().map(|template| TemplateRow {
            template,
            definitions,
            rights,
        });
        rows.map(|row| RawObject::object(context, row, &selection))
            .collect::<Result<_>>()
    }

    /// A message as a client would get it now, without sending it; null when there is no such template or client.
    async fn preview_message(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The id of the template.")] template_id: String,
        #[graphql(desc = "The client it would be written to.")] client: ClientBy,
        #[graphql(desc = "The language; the client's own without it.")] language: Option<Language>,
    ) -> Result<Option<RawObject<MessagePreview>>> {
        let Some(named) = client.named() else { return Ok(None) };
        let templates = context.data::<Templates>()?;
        let preview = templates
            .preview(caller(context)?, &template_id, &named, language, super::now())
            .await?;
        let selection = selection::<MessagePreview>(context)?;
        preview
            .map(|preview| RawObject::object(context, &preview, &selection))
            .transpose()
    }
}

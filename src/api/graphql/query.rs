//! The fields of the query root. Each reads its arguments, loads the data of its selection and writes its object.

use async_graphql::{Context, ID, Object as Root, OneofObject, Result};

use super::{
    client_by::ClientBy,
    context::{Answer, caller, definitions, loaders, selection},
    global_id::GlobalId,
    load_plan::{LoadPlan, requested, selected, selected_parts},
    loaded::LoadedData,
    messages::{self, MessageFilter},
    node::Node,
    nodes,
    objects::{
        client::Client,
        connection::{Connection, PageRow},
        definition::{ClientRole, CustomField, CustomFieldSet, IdDocumentTemplate},
        message::Message,
        template::{MessagePreview, MessageTemplate},
    },
    page::{LARGEST_PAGE, PageArguments, of_argument},
};
use clientele_domain::{
    client::{ClientFilter, ClientOrder, Clients, Listing},
    enums::Language,
    notify::template::Templates,
};
use graphql_server::{
    Code, GraphqlError,
    object::{Object, RawObject, Selection},
};

/// Reads the bank's clients and the definitions they follow.
pub struct Query;

/// Names a custom field by exactly one of these fields.
#[derive(OneofObject)]
enum CustomFieldBy {
    /// The global ID.
    Id(ID),
    /// The key.
    EncodedKey(String),
    /// The ID, which inputs use to name the field.
    FieldId(String),
}

/// Reads the bank's clients and the definitions they follow.
#[Root(name = "ClientQuery")]
impl Query {
    /// The object with this global ID, of any type; null if it doesn't exist or if you may not view it.
    async fn node(&self, context: &Context<'_>, #[graphql(desc = "The global ID.")] id: ID) -> Result<Option<Node>> {
        nodes::node(context, id).await
    }

    /// The objects with these global IDs, in the same order; null for each that doesn't exist or that you may not view.
    async fn nodes(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The global IDs, at most 500.")] ids: Vec<ID>,
    ) -> Result<Option<Vec<Option<Node>>>> {
        if ids.len() > LARGEST_PAGE as usize {
            let message = format!("Ask for at most {LARGEST_PAGE} ids; there are {}.", ids.len());
            return Err(GraphqlError::new(Code::BadUserInput, message).into());
        }
        nodes::nodes(context, &ids).await.map(Some)
    }

    /// A client; null if it doesn't exist. Requires VIEW_CLIENT.
    async fn client(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The client.")] by: ClientBy,
    ) -> Result<Answer<Client>> {
        let Some(named) = by.named() else { return Ok(None) };
        let selection = selection::<Client>(context)?;
        let load_plan = LoadPlan::of_clients(&[&selection])?;
        let (clients, loaders, caller) = (context.data::<Clients>()?, loaders(context)?, caller(context)?);
        let Some((client, definitions)) = clients.get(caller, &named, selected_parts([&*selection])).await? else {
            return Ok(None);
        };
        let loaded = LoadedData::around([&client], &load_plan, definitions, loaders, caller).await?;
        Ok(Some(RawObject::object(context, (&client, &loaded), &selection)?))
    }

    /// A page of clients. New and deleted clients don't make pages skip or repeat others, except those of a search that
    /// finds more than 1,000 clients. Requires VIEW_CLIENT.
    #[expect(
        clippy::too_many_arguments,
        reason = "these are the arguments that Relay gives a connection"
    )]
    async fn clients(
        &self,
        context: &Context<'_>,
        #[graphql(
            desc = "Only clients that this text finds, the best matches first: a part of a name, of the mailbox of the \
                    e-mail address, of a phone number, of the ID or of a document number. Each word must be found, \
                    without regard to case and accents. The text has at most 200 characters and 8 words. A word of one \
                    or two letters or digits must begin the first or last name. If more than 1,000 clients match, some \
                    1,000 of them are listed, which can differ from page to page. Not together with `orderBy`."
        )]
        search: Option<String>,
        #[graphql(desc = "Only clients that match; all clients by default.")] filter: Option<ClientFilter>,
        #[graphql(desc = "The order of the list; by creation by default.")] order_by: Option<ClientOrder>,
        #[graphql(desc = "Number of entries from the start: 50 by default, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Only entries after this cursor.")] after: Option<String>,
        #[graphql(desc = "Number of entries from the end: at most 500. Not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "Only entries before this cursor.")] before: Option<String>,
    ) -> Result<Answer<Connection<Client>>> {
        let filter = filter.unwrap_or_default();
        let listing = match (search, order_by) {
            (None, order) => Listing::All(order.unwrap_or_default()),
            (Some(text), None) => Listing::Found(text),
            (Some(_), Some(_)) => {
                let message = "`orderBy` can't be combined with `search`, which lists the best matches first.";
                return Err(GraphqlError::new(Code::BadUserInput, message).into());
            }
        };
        let range = PageArguments::new(first, after, last, before).range("clients", "")?;
        let selection = selection::<Connection<Client>>(context)?;
        let selections: Vec<&Selection> = selected(&selection).collect();
        let load_plan = LoadPlan::of_clients(&selections)?;
        let (clients, caller) = (context.data::<Clients>()?, caller(context)?);
        let requested = requested(&selection);
        let parts = requested.rows.then(|| selected_parts(selections));
        let page = clients
            .page(caller, &filter, listing, &range, parts, requested.total)
            .await?
            .map_err(|problem| of_argument("", &problem))?;
        let (rows, definitions) = (&page.clients.rows, page.definitions.clone());
        let loaded = LoadedData::around(rows, &load_plan, definitions, loaders(context)?, caller).await?;
        let row = PageRow {
            list: &page,
            loaded: &loaded,
        };
        RawObject::object(context, row, &selection).map(Some)
    }

    /// A page of messages to clients, newest first: ordered by `createdAt`, then by `encodedKey`. New messages don't
    /// make pages skip or repeat others. Requires VIEW_MESSAGES.
    async fn messages(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only messages that match; all messages by default.")] filter: Option<MessageFilter>,
        #[graphql(desc = "Number of entries from the start: 50 by default, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Only entries after this cursor.")] after: Option<String>,
        #[graphql(desc = "Number of entries from the end: at most 500. Not together with `first`.")] last: Option<i32>,
        #[graphql(desc = "Only entries before this cursor.")] before: Option<String>,
    ) -> Result<Answer<Connection<Message>>> {
        let arguments = PageArguments::new(first, after, last, before);
        messages::page(context, filter.unwrap_or_default(), arguments).await
    }

    /// All sets of custom fields, in order.
    async fn custom_field_sets(&self, context: &Context<'_>) -> Result<Option<Vec<RawObject<CustomFieldSet>>>> {
        let definitions = &*definitions(context).await?;
        objects(context, definitions.sets.iter().map(|set| (&**set, definitions)))
    }

    /// The definition of a custom field; null if it doesn't exist.
    async fn custom_field(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The custom field.")] by: CustomFieldBy,
    ) -> Result<Answer<CustomField>> {
        let definitions = definitions(context).await?;
        let field = match by {
            CustomFieldBy::EncodedKey(key) => definitions.field_of_key(&key),
            CustomFieldBy::FieldId(id) => definitions.field(&id),
            CustomFieldBy::Id(id) => match GlobalId::decode(&id) {
                Some(GlobalId::CustomField(key)) => definitions.field_of_key(&key),
                _ => None,
            },
        };
        let row = field.map(|field| (field, &*definitions));
        let selection = selection::<CustomField>(context)?;
        row.map(|row| RawObject::object(context, row, &selection)).transpose()
    }

    /// All client roles, in order.
    async fn client_roles(&self, context: &Context<'_>) -> Result<Option<Vec<RawObject<ClientRole>>>> {
        let definitions = &*definitions(context).await?;
        objects(context, definitions.roles.iter().map(|role| (role, definitions)))
    }

    /// All templates of identification documents, in order.
    async fn id_document_templates(&self, context: &Context<'_>) -> Result<Option<Vec<RawObject<IdDocumentTemplate>>>> {
        objects(context, &definitions(context).await?.document_templates)
    }

    /// All message templates, ordered by creation.
    async fn message_templates(&self, context: &Context<'_>) -> Result<Option<Vec<RawObject<MessageTemplate>>>> {
        let definitions = &*definitions(context).await?;
        let rights = &*caller(context)?.rights;
        let rows = definitions.templates.iter();
        objects(context, rows.map(|template| (&**template, definitions, rights)))
    }

    /// A message as a client would get it now. It isn't sent. Null if the template or the client doesn't exist.
    /// Requires VIEW_MESSAGES and VIEW_CLIENT.
    async fn preview_message(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "The ID of the template.")] template_id: String,
        #[graphql(desc = "The client who would get the message.")] client: ClientBy,
        #[graphql(desc = "The language; the client's preferred language by default.")] language: Option<Language>,
    ) -> Result<Answer<MessagePreview>> {
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

/// Writes a list of objects, all of which the field selects.
fn objects<'a, T: Object>(
    context: &Context<'_>,
    rows: impl IntoIterator<Item = T::Row<'a>>,
) -> Result<Option<Vec<RawObject<T>>>> {
    let selection = selection::<T>(context)?;
    let rows = rows.into_iter();
    rows.map(|row| RawObject::object(context, row, &selection))
        .collect::<Result<_>>()
        .map(Some)
}

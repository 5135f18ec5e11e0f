//! Loads the parts of a [`LoadedData`], level by level.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use entity::{custom_field_value, message};

use super::LoadedData;
use crate::api::graphql::{
    load::{ClientKey, HistoryKey, Loaders, PageKey, VariantKey},
    load_plan::{Level, LoadPlan},
};
use clientele_core::{budget, error::Error};
use clientele_domain::{
    audit::{self, HistoryPage},
    caller::{Caller, Rights},
    client::{Aggregate, Wanted},
    definitions::Definitions,
    notify::{MessagePage, content::Content, shown_content},
};
use clientele_storage::paging::{Asked, Window};
use graphql_server::{Code, GraphqlError};

/// The rows of one level, given or loaded.
#[derive(Default)]
pub(super) struct Rows<'a> {
    clients: Vec<&'a Aggregate>,
    messages: Vec<&'a message::Model>,
    loaded_clients: Vec<Arc<Aggregate>>,
    loaded_pages: Vec<Arc<MessagePage>>,
}

impl<'a> Rows<'a> {
    pub fn of(
        clients: impl IntoIterator<Item = &'a Aggregate>,
        messages: impl IntoIterator<Item = &'a message::Model>,
    ) -> Self {
        Self {
            clients: clients.into_iter().collect(),
            messages: messages.into_iter().collect(),
            ..Self::default()
        }
    }
}

/// The data loaded so far, and its caller.
pub(super) struct Loading<'a> {
    loaders: &'a Loaders,
    caller: &'a Caller,
    load_plan: &'a LoadPlan<'a>,
    wanted: Wanted,
    /// None before the first client has been read.
    definitions: Option<Arc<Definitions>>,
    clients: HashMap<String, Arc<Aggregate>>,
    pages: HashMap<Window, HashMap<String, Arc<MessagePage>>>,
    histories: HashMap<Window, HashMap<String, HistoryPage>>,
    contents: HashMap<String, Content>,
}

impl<'a> Loading<'a> {
    pub fn new(
        loaders: &'a Loaders,
        caller: &'a Caller,
        load_plan: &'a LoadPlan<'a>,
        definitions: Option<Arc<Definitions>>,
    ) -> Self {
        Self {
            loaders,
            caller,
            load_plan,
            wanted: load_plan.wanted(),
            definitions,
            clients: HashMap::new(),
            pages: HashMap::new(),
            histories: HashMap::new(),
            contents: HashMap::new(),
        }
    }

    pub async fn load(mut self, mut rows: Rows<'_>) -> async_graphql::Result<LoadedData> {
        for level in &self.load_plan.levels {
            if level.content {
                self.load_contents(&rows).await?;
            }
            let mut next = Rows::default();
            for (window, asked) in &level.pages {
                next.loaded_pages.extend(self.load_pages(&rows, window, *asked).await?);
            }
            for (window, asked) in &level.histories {
                self.load_histories(&rows, window, *asked).await?;
            }
            next.loaded_clients = self.load_clients(self.keys(&rows, level)).await?;
            rows = next;
        }
        Ok(LoadedData {
            rights: self.caller.rights.clone(),
            definitions: match self.definitions {
                Some(definitions) => definitions,
                None => definitions(self.load_plan, self.loaders).await?,
            },
            clients: self.clients,
            pages: self.pages,
            histories: self.histories,
            contents: self.contents,
        })
    }

    /// The keys of the clients on the next level.
    fn keys(&self, rows: &Rows<'_>, level: &Level<'_>) -> HashSet<String> {
        let mut keys = HashSet::new();
        if let Some(definitions) = self.definitions.as_ref().filter(|_| !level.linked.is_empty()) {
            let values = rows
                .clients()
                .flat_map(|client| client.custom_values.as_deref().unwrap_or_default());
            keys.extend(links(values, definitions, &self.caller.rights).map(str::to_owned));
        }
        if !level.recipients.is_empty() {
            keys.extend(rows.messages().map(|message| message.client_key.clone()));
        }
        keys
    }

    /// The existing clients of these, loaded now or before.
    async fn load_clients(&mut self, keys: HashSet<String>) -> Result<Vec<Arc<Aggregate>>, Error> {
        let missing = keys.iter().filter(|key| !self.clients.contains_key(*key));
        let missing: Vec<ClientKey> = missing
            .map(|key| ClientKey {
                key: key.clone(),
                wanted: self.wanted,
            })
            .collect();
        if !missing.is_empty() {
            for (key, found) in self.loaders.load_many(missing).await? {
                let found = found.read_by(self.caller)?;
                self.definitions.get_or_insert(found.definitions);
                self.clients.insert(key.key, found.client);
            }
        }
        Ok(keys.iter().filter_map(|key| self.clients.get(key).cloned()).collect())
    }

    async fn load_pages(
        &mut self,
        rows: &Rows<'_>,
        window: &Window,
        asked: Asked,
    ) -> Result<Vec<Arc<MessagePage>>, Error> {
        let known = self.pages.entry(window.clone()).or_default();
        let keys: HashSet<&str> = rows.clients().map(|client| &*client.client.encoded_key).collect();
        let shared = Arc::new(window.clone());
        let missing = keys.iter().filter(|key| !known.contains_key(**key));
        let missing: Vec<PageKey> = missing
            .map(|key| PageKey {
                client_key: (*key).to_owned(),
                window: shared.clone(),
                asked,
            })
            .collect();
        if !missing.is_empty() {
            for (key, page) in self.loaders.load_many(missing).await? {
                known.insert(key.client_key, page.read_by(self.caller)?);
            }
        }
        Ok(keys.iter().filter_map(|key| known.get(*key).cloned()).collect())
    }

    async fn load_histories(&mut self, rows: &Rows<'_>, window: &Window, asked: Asked) -> async_graphql::Result<()> {
        let known = self.histories.entry(window.clone()).or_default();
        let keys: HashSet<&str> = rows.clients().map(|client| &*client.client.encoded_key).collect();
        let shared = Arc::new(window.clone());
        let missing = keys.into_iter().filter(|key| !known.contains_key(*key));
        let missing: Vec<HistoryKey> = missing
            .map(|key| HistoryKey {
                client_key: key.to_owned(),
                window: shared.clone(),
                asked,
            })
            .collect();
        if !missing.is_empty() {
            for (key, page) in self.loaders.load_many(missing).await? {
                let page = page.read_by(self.caller)?;
                if page.bytes > audit::LARGEST_CONTENTS {
                    return Err(too_large().into());
                }
                known.insert(key.client_key, page);
            }
        }
        Ok(())
    }

    async fn load_contents(&mut self, rows: &Rows<'_>) -> Result<(), Error> {
        let written = |message: &&message::Model| message.placeholders.is_some();
        let messages: Vec<&message::Model> = rows.messages().filter(written).collect();
        let keys: HashSet<&String> = messages.iter().map(|message| &message.variant_key).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let keys = keys.into_iter().cloned().map(VariantKey);
        let variants = self.loaders.load_many(keys).await?;
        for message in messages {
            let variant = variants.get(&VariantKey(message.variant_key.clone()));
            if let Some(content) = variant.and_then(|variant| shown_content(message, variant, &self.caller.rights)) {
                budget::hold(content.text.len() + content.html.as_ref().map_or(0, String::len))?;
                self.contents.insert(message.encoded_key.clone(), content);
            }
        }
        Ok(())
    }
}

/// The error of audit records with more contents than one request may read.
pub fn too_large() -> GraphqlError {
    let most = audit::LARGEST_CONTENTS >> 20;
    let message = format!("The changes of these records have more than {most} MiB: ask for fewer at once.");
    GraphqlError::new(Code::QueryTooComplex, message)
}

/// The definitions for messages without clients.
async fn definitions(load_plan: &LoadPlan<'_>, loaders: &Loaders) -> Result<Arc<Definitions>, Error> {
    match load_plan.levels.iter().any(|level| level.templates) {
        true => loaders.loader().current_definitions().await,
        false => loaders.loader().any_definitions().await,
    }
}

/// The keys of the clients that these values link to, if the caller may view the values.
fn links<'a>(
    values: impl IntoIterator<Item = &'a custom_field_value::Model>,
    definitions: &'a Definitions,
    rights: &'a Rights,
) -> impl Iterator<Item = &'a str> {
    let link = |value: &&custom_field_value::Model| {
        definitions
            .field_of_key(&value.field_key)
            .is_some_and(|field| field.links_clients() && field.is_shown(rights))
    };
    let links = values.into_iter().filter(link);
    links.filter_map(|value| value.linked_key.as_deref())
}

impl Rows<'_> {
    fn clients(&self) -> impl Iterator<Item = &Aggregate> {
        let loaded = self.loaded_clients.iter().map(|client| &**client);
        self.clients.iter().copied().chain(loaded)
    }

    fn messages(&self) -> impl Iterator<Item = &message::Model> {
        let loaded = self.loaded_pages.iter().flat_map(|page| &page.messages.rows);
        self.messages.iter().copied().chain(loaded)
    }
}

//! The data around rows, loaded before anything is written. One statement for each kind of object on each level,
//! whatever the number of rows.
//!
//! Loaders check the caller's permissions. Values of custom field sets that the caller may not view are left out here.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use entity::{custom_field_value, message};

use super::{
    load::{ClientKey, HistoryKey, Loaders, PageKey, VariantKey},
    load_plan::{Level, LoadPlan},
};
use clientele_core::{budget, error::Error};
use clientele_domain::{
    audit::{self, HistoryPage},
    caller::{Caller, Rights},
    client::{Aggregate, ClientParts},
    definitions::Definitions,
    notify::{Content, MessagePage, shown_content},
};
use clientele_storage::paging::{Requested, Window};
use graphql_server::{Code, GraphqlError};

/// The data around rows.
#[derive(Debug)]
pub struct LoadedData {
    /// The rights of the caller.
    pub rights: Arc<Rights>,
    /// The current definitions.
    pub definitions: Arc<Definitions>,
    found: Arc<Found>,
}

/// The data found so far.
#[derive(Debug, Default)]
struct Found {
    /// The clients that links, merges and messages lead to.
    clients: HashMap<String, Arc<Aggregate>>,
    /// Parts of clients' messages, by the clients' keys.
    pages: HashMap<Window, HashMap<String, Arc<MessagePage>>>,
    /// Parts of clients' audit logs, by the clients' keys.
    histories: HashMap<Window, HashMap<String, HistoryPage>>,
    /// The texts of messages, by their keys.
    contents: HashMap<String, Content>,
}

impl LoadedData {
    /// Loads the data around clients, which were read with these definitions.
    pub async fn around<'a>(
        clients: impl IntoIterator<Item = &'a Aggregate>,
        load_plan: &LoadPlan<'_>,
        definitions: Arc<Definitions>,
        loaders: &Loaders,
        caller: &Caller,
    ) -> async_graphql::Result<Self> {
        let rows = Rows {
            clients: clients.into_iter().map(|client| (client, None)).collect(),
            ..Rows::default()
        };
        Self::load(rows, load_plan, Some(definitions), loaders, caller).await
    }

    /// Loads the data around clients that were each read with these definitions, by the same statements as for one.
    /// Returns the data with the definitions of each client, which it must be shown with.
    pub async fn around_each<'a>(
        clients: &[(&'a Aggregate, &'a Arc<Definitions>)],
        load_plan: &LoadPlan<'_>,
        loaders: &Loaders,
        caller: &Caller,
    ) -> async_graphql::Result<Vec<Arc<Self>>> {
        let Some((_, first)) = clients.first() else {
            return Ok(Vec::new());
        };
        let own = clients
            .iter()
            .map(|(client, definitions)| (*client, Some(&***definitions)));
        let rows = Rows {
            clients: own.collect(),
            ..Rows::default()
        };
        let data = Self::load(rows, load_plan, Some(Arc::clone(first)), loaders, caller).await?;
        let mut all: Vec<Arc<Self>> = Vec::with_capacity(clients.len());
        for (_, definitions) in clients {
            all.push(match all.last() {
                Some(last) if Arc::ptr_eq(&last.definitions, definitions) => last.clone(),
                _ => Arc::new(Self {
                    rights: data.rights.clone(),
                    definitions: Arc::clone(definitions),
                    found: data.found.clone(),
                }),
            });
        }
        Ok(all)
    }

    /// Loads the data around messages.
    pub async fn around_messages<'a>(
        messages: impl IntoIterator<Item = &'a message::Model>,
        load_plan: &LoadPlan<'_>,
        loaders: &Loaders,
        caller: &Caller,
    ) -> async_graphql::Result<Self> {
        let rows = Rows {
            messages: messages.into_iter().collect(),
            ..Rows::default()
        };
        Self::load(rows, load_plan, None, loaders, caller).await
    }

    /// Loads the clients with these keys, and the data around them.
    pub async fn around_changes<'a>(
        client_keys: impl IntoIterator<Item = &'a str>,
        load_plan: &LoadPlan<'_>,
        loaders: &Loaders,
        caller: &Caller,
    ) -> async_graphql::Result<Self> {
        let rows = Rows {
            changed: client_keys.into_iter().collect(),
            ..Rows::default()
        };
        Self::load(rows, load_plan, None, loaders, caller).await
    }

    async fn load(
        mut rows: Rows<'_>,
        load_plan: &LoadPlan<'_>,
        definitions: Option<Arc<Definitions>>,
        loaders: &Loaders,
        caller: &Caller,
    ) -> async_graphql::Result<Self> {
        let mut loading = Loading {
            loaders,
            caller,
            parts: load_plan.parts(),
            definitions,
            found: Found::default(),
        };
        for level in &load_plan.levels {
            rows = loading.load(level, &rows).await?;
        }
        Ok(Self {
            rights: caller.rights.clone(),
            definitions: match loading.definitions {
                Some(definitions) => definitions,
                // For messages without clients.
                None if load_plan.levels.iter().any(|level| level.templates) => {
                    loaders.loader().current_definitions().await?
                }
                None => loaders.loader().any_definitions().await?,
            },
            found: Arc::new(loading.found),
        })
    }

    /// A linked or changed client, the one that another was merged into, or the recipient of a message.
    pub fn client(&self, key: &str) -> Option<(&Aggregate, &Self)> {
        self.found.clients.get(key).map(|client| (&**client, self))
    }

    /// A part of a client's messages.
    pub fn page(&self, window: &Window, client_key: &str) -> Option<&MessagePage> {
        self.found.pages.get(window)?.get(client_key).map(|page| &**page)
    }

    /// A part of a client's audit log; none for callers who may not view it.
    pub fn history(&self, window: &Window, client_key: &str) -> Option<&HistoryPage> {
        self.found.histories.get(window)?.get(client_key)
    }

    /// The text of a message; none when it has been removed.
    pub fn content(&self, message: &message::Model) -> Option<&Content> {
        self.found.contents.get(&message.encoded_key)
    }
}

/// The rows of one level, given or loaded.
#[derive(Default)]
struct Rows<'a> {
    /// With the definitions that they were read with, if other rows were read with others.
    clients: Vec<(&'a Aggregate, Option<&'a Definitions>)>,
    messages: Vec<&'a message::Model>,
    /// The keys of changed clients.
    changed: Vec<&'a str>,
    loaded_clients: Vec<Arc<Aggregate>>,
    loaded_pages: Vec<Arc<MessagePage>>,
}

impl Rows<'_> {
    fn clients(&self) -> impl Iterator<Item = (&Aggregate, Option<&Definitions>)> {
        let loaded = self.loaded_clients.iter().map(|client| (&**client, None));
        self.clients.iter().copied().chain(loaded)
    }

    fn client_keys(&self) -> HashSet<&str> {
        let keys = self.clients().map(|(client, _)| &*client.client.encoded_key);
        keys.collect()
    }

    fn messages(&self) -> impl Iterator<Item = &message::Model> {
        let loaded = self.loaded_pages.iter().flat_map(|page| &page.messages.rows);
        self.messages.iter().copied().chain(loaded)
    }
}

/// The data loaded so far, and its caller.
struct Loading<'a> {
    loaders: &'a Loaders,
    caller: &'a Caller,
    parts: ClientParts,
    /// None before the first client has been read.
    definitions: Option<Arc<Definitions>>,
    found: Found,
}

impl Loading<'_> {
    /// Loads the data of a level around its rows, and returns the rows of the next level.
    async fn load(&mut self, level: &Level<'_>, rows: &Rows<'_>) -> async_graphql::Result<Rows<'static>> {
        if level.content {
            self.load_contents(rows).await?;
        }
        let mut next = Rows::default();
        for (window, requested) in &level.pages {
            next.loaded_pages
                .extend(self.load_pages(rows, window, *requested).await?);
        }
        for (window, requested) in &level.histories {
            self.load_histories(rows, window, *requested).await?;
        }
        next.loaded_clients = self.load_clients(self.keys(rows, level)).await?;
        Ok(next)
    }

    /// The keys of the clients on the next level.
    fn keys(&self, rows: &Rows<'_>, level: &Level<'_>) -> HashSet<String> {
        let mut keys = HashSet::new();
        if let Some(definitions) = self.definitions.as_ref().filter(|_| !level.linked.is_empty()) {
            for (client, own) in rows.clients() {
                let values = client.custom_values.as_deref().unwrap_or_default();
                let links = links(values, own.unwrap_or(definitions), &self.caller.rights);
                keys.extend(links.map(str::to_owned));
            }
        }
        if !level.merged.is_empty() {
            let merged = rows.clients().map(|(client, _)| client.client.merged_into_key.clone());
            keys.extend(merged.flatten());
        }
        if !level.recipients.is_empty() {
            keys.extend(rows.messages().map(|message| message.client_key.clone()));
        }
        if !level.changed.is_empty() {
            keys.extend(rows.changed.iter().map(|key| (*key).to_owned()));
        }
        keys
    }

    /// The existing clients of these, loaded now or before.
    async fn load_clients(&mut self, keys: HashSet<String>) -> Result<Vec<Arc<Aggregate>>, Error> {
        let missing = keys.iter().filter(|key| !self.found.clients.contains_key(*key));
        let missing = missing.map(|key| ClientKey {
            key: key.clone(),
            parts: self.parts,
        });
        let missing: Vec<ClientKey> = missing.collect();
        if !missing.is_empty() {
            for (key, found) in self.loaders.load_many(missing).await? {
                let found = found.authorize(self.caller)?;
                self.definitions.get_or_insert(found.definitions);
                self.found.clients.insert(key.key, found.client);
            }
        }
        Ok(keys
            .iter()
            .filter_map(|key| self.found.clients.get(key).cloned())
            .collect())
    }

    async fn load_pages(
        &mut self,
        rows: &Rows<'_>,
        window: &Window,
        requested: Requested,
    ) -> Result<Vec<Arc<MessagePage>>, Error> {
        let known = self.found.pages.entry(window.clone()).or_default();
        let keys = rows.client_keys();
        let shared = Arc::new(window.clone());
        let missing = keys.iter().filter(|key| !known.contains_key(**key));
        let missing = missing.map(|key| PageKey {
            client_key: (*key).to_owned(),
            window: shared.clone(),
            requested,
        });
        let missing: Vec<PageKey> = missing.collect();
        if !missing.is_empty() {
            for (key, page) in self.loaders.load_many(missing).await? {
                known.insert(key.client_key, page.authorize(self.caller)?);
            }
        }
        Ok(keys.iter().filter_map(|key| known.get(*key).cloned()).collect())
    }

    async fn load_histories(
        &mut self,
        rows: &Rows<'_>,
        window: &Window,
        requested: Requested,
    ) -> async_graphql::Result<()> {
        let known = self.found.histories.entry(window.clone()).or_default();
        let keys = rows.client_keys();
        let shared = Arc::new(window.clone());
        let missing = keys.into_iter().filter(|key| !known.contains_key(*key));
        let missing = missing.map(|key| HistoryKey {
            client_key: key.to_owned(),
            window: shared.clone(),
            requested,
        });
        let missing: Vec<HistoryKey> = missing.collect();
        if !missing.is_empty() {
            // At least as new as those that the clients were read with.
            let definitions = self.loaders.loader().any_definitions().await?;
            for (key, page) in self.loaders.load_many(missing).await? {
                let page = page.authorize(self.caller)?;
                if page.bytes > audit::LARGEST_CONTENTS {
                    return Err(too_large().into());
                }
                known.insert(key.client_key, page.hide_values(&*definitions, &self.caller.rights));
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
                self.found.contents.insert(message.encoded_key.clone(), content);
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

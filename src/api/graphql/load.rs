//! Loaders, which read together what several parts of a request load at the same time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use async_graphql::dataloader::{DataLoader, Loader};
use entity::message;

use clientele_core::{budget::RequestBudget, error::Error, trace};
use clientele_domain::{
    audit::{AuditLog, RecordKey, Rows, Stored},
    caller::{Rights, Unchecked},
    client::{ClientParts, Clients, Found},
    definitions::{Definitions, DefinitionsCache},
    notify::{MessageKey, MessagePage, Messages, render::Compiled},
};
use clientele_storage::paging::{Requested, Window};

/// The loaders of a request.
pub type Loaders = DataLoader<Source>;

/// The services that loaders read from.
#[derive(Debug)]
pub struct Sources {
    pub definitions: DefinitionsCache,
    pub clients: Clients,
    pub messages: Messages,
    pub audit: AuditLog,
}

/// Reads what exists for a caller with these rights.
pub struct Source(Arc<Sources>, Arc<Rights>);

/// Loaders for one request, because their memory is charged to its [`RequestBudget`]. They cache nothing, because it
/// could be stale, and add no delay: batches form while statements run.
pub fn loaders(sources: Arc<Sources>, rights: Arc<Rights>) -> Loaders {
    let spawn = |load| {
        let load = trace::within(trace::current(), load);
        match RequestBudget::current() {
            Some(budget) => tokio::spawn(budget.scope(load)),
            None => tokio::spawn(load),
        }
    };
    DataLoader::new(Source(sources, rights), spawn).delay(Duration::ZERO)
}

impl Source {
    /// The last known definitions, for an answer that shows none.
    pub async fn any_definitions(&self) -> Result<Arc<Definitions>, Error> {
        self.0.definitions.latest_known().await
    }

    /// Definitions to mask audit records with.
    pub async fn definitions_to_mask(&self, rights: &Rights) -> Result<Arc<Definitions>, Error> {
        self.0.definitions.to_mask(rights).await
    }

    /// The definitions as they are stored now.
    pub async fn current_definitions(&self) -> Result<Arc<Definitions>, Error> {
        self.0.definitions.current().await
    }
}

/// A client to load, and the collections to load of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey {
    pub key: String,
    pub parts: ClientParts,
}

impl Loader<ClientKey> for Source {
    type Value = Unchecked<Found>;
    type Error = Error;

    async fn load(&self, keys: &[ClientKey]) -> Result<HashMap<ClientKey, Self::Value>, Error> {
        let mut by_parts: HashMap<ClientParts, Vec<String>> = HashMap::new();
        for ClientKey { key, parts } in keys {
            by_parts.entry(*parts).or_default().push(key.clone());
        }
        let mut found = HashMap::with_capacity(keys.len());
        for (parts, keys) in by_parts {
            for (key, client) in self.0.clients.by_key(&self.1, &keys, parts).await? {
                found.insert(ClientKey { key, parts }, client);
            }
        }
        Ok(found)
    }
}

/// A part of a client's messages to load.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageKey {
    pub client_key: String,
    pub window: Arc<Window>,
    pub requested: Requested,
}

impl Loader<PageKey> for Source {
    type Value = Unchecked<Arc<MessagePage>>;
    type Error = Error;

    async fn load(&self, keys: &[PageKey]) -> Result<HashMap<PageKey, Self::Value>, Error> {
        let mut by_window: HashMap<(&Arc<Window>, Requested), Vec<&str>> = HashMap::new();
        for key in keys {
            let clients = by_window.entry((&key.window, key.requested)).or_default();
            clients.push(&key.client_key);
        }
        let mut found = HashMap::with_capacity(keys.len());
        for ((window, requested), clients) in by_window {
            for (client_key, page) in self.0.messages.pages_of_clients(&clients, window, requested).await? {
                let key = PageKey {
                    client_key,
                    window: window.clone(),
                    requested,
                };
                found.insert(key, page);
            }
        }
        Ok(found)
    }
}

impl Loader<MessageKey> for Source {
    type Value = Unchecked<Arc<message::Model>>;
    type Error = Error;

    async fn load(&self, keys: &[MessageKey]) -> Result<HashMap<MessageKey, Self::Value>, Error> {
        self.0.messages.by_key(&self.1, keys).await
    }
}

/// A part of a client's audit log to load.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HistoryKey {
    pub client_key: String,
    pub window: Arc<Window>,
    pub requested: Requested,
}

impl Loader<HistoryKey> for Source {
    type Value = Arc<Unchecked<Rows>>;
    type Error = Error;

    async fn load(&self, keys: &[HistoryKey]) -> Result<HashMap<HistoryKey, Self::Value>, Error> {
        let mut by_window: HashMap<(&Arc<Window>, Requested), Vec<&str>> = HashMap::new();
        for key in keys {
            let clients = by_window.entry((&key.window, key.requested)).or_default();
            clients.push(&key.client_key);
        }
        let mut found = HashMap::with_capacity(keys.len());
        for ((window, requested), clients) in by_window {
            for (client_key, page) in self.0.audit.pages_of_clients(&clients, window, requested).await? {
                let key = HistoryKey {
                    client_key,
                    window: window.clone(),
                    requested,
                };
                found.insert(key, Arc::new(page));
            }
        }
        Ok(found)
    }
}

impl Loader<RecordKey> for Source {
    type Value = Unchecked<Stored>;
    type Error = Error;

    async fn load(&self, keys: &[RecordKey]) -> Result<HashMap<RecordKey, Self::Value>, Error> {
        self.0.audit.by_key(&self.1, keys).await
    }
}

/// The version of a template's variant that a message is written from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VariantKey(pub String);

impl Loader<VariantKey> for Source {
    type Value = Arc<Compiled>;
    type Error = Error;

    async fn load(&self, keys: &[VariantKey]) -> Result<HashMap<VariantKey, Self::Value>, Error> {
        let keys = keys.iter().map(|VariantKey(key)| key.as_str());
        let variants = self.0.messages.variants(keys).await?;
        Ok(variants
            .into_iter()
            .map(|(key, variant)| (VariantKey(key), variant))
            .collect())
    }
}

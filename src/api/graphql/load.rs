//! Loading what a selection needs, before anything is written: one statement for each level of nesting.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_graphql::dataloader::{DataLoader, Loader};

use super::{object::Plan, objects::client::links};
use crate::{
    Clientele,
    client::{Aggregate, Wanted},
    custom_field::Definitions,
    error::Error,
};

/// What rows are written with: the definitions in force, and the clients that links lead to.
#[derive(Debug)]
pub struct World {
    pub definitions: Arc<Definitions>,
    pub linked: HashMap<String, Arc<Aggregate>>,
}

/// The collections that selections of clients ask for.
pub fn wanted<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Wanted {
    plans.into_iter().fold(Wanted::default(), |wanted, plan| {
        wanted.or(Wanted {
            addresses: plan.asks("addresses"),
            id_documents: plan.asks("idDocuments"),
            custom_values: plan.asks("customInformation"),
        })
    })
}

/// The selections of the clients that selected clients link to.
pub fn linked<'a>(plans: &[&'a Plan]) -> Vec<&'a Plan> {
    let values = plans.iter().flat_map(|plan| plan.below("customInformation"));
    values
        .flat_map(|step| step.plan.below("linkedClient"))
        .map(|step| &step.plan)
        .collect()
}

impl World {
    /// Loads what is linked from `rows`, level by level: `plans` are the selections of the clients that these rows link to.
    pub async fn around(
        rows: impl IntoIterator<Item = &Aggregate>,
        plans: Vec<&Plan>,
        definitions: Arc<Definitions>,
        clients: &ClientLoader,
    ) -> Result<Self, Error> {
        let mut world = Self {
            definitions,
            linked: HashMap::new(),
        };
        let mut levels = vec![plans];
        while let Some(deepest) = levels.last().filter(|plans| !plans.is_empty()) {
            levels.push(linked(deepest));
        }
        // A client may be met on several levels: it is loaded once, with all that any of them asks for.
        let wanted = wanted(levels.iter().flatten().copied());
        let mut keys: HashSet<String> = rows.into_iter().flat_map(|row| world.links_of(row)).collect();
        for _ in levels.iter().filter(|plans| !plans.is_empty()) {
            let missing = keys.iter().filter(|key| !world.linked.contains_key(*key));
            let missing: Vec<ClientKey> = missing
                .map(|key| ClientKey {
                    key: key.clone(),
                    wanted,
                })
                .collect();
            if !missing.is_empty() {
                for (key, found) in clients.load_many(missing).await? {
                    world.linked.insert(key.key, found.client);
                }
            }
            let reached = keys.iter().filter_map(|key| world.linked.get(key));
            keys = reached.flat_map(|row| world.links_of(row)).collect();
        }
        Ok(world)
    }

    fn links_of(&self, row: &Aggregate) -> HashSet<String> {
        links(row.custom_values.as_deref().unwrap_or_default(), &self.definitions)
            .map(str::to_owned)
            .collect()
    }
}

/// A client to load, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientKey {
    pub key: String,
    pub wanted: Wanted,
}

/// A client with the definitions that were in force when it was read.
#[derive(Clone, Debug)]
pub struct Found {
    pub client: Arc<Aggregate>,
    pub definitions: Arc<Definitions>,
}

/// Loads clients by key wherever several parts of a request, or several requests, ask for one at the same time.
pub type ClientLoader = DataLoader<Clients>;

pub struct Clients(Arc<Clientele>);

/// It keeps nothing: what is cached could be stale. It waits for nothing: batches form while statements run.
pub fn client_loader(clientele: Arc<Clientele>) -> ClientLoader {
    DataLoader::new(Clients(clientele), tokio::spawn).delay(Duration::ZERO)
}

impl Loader<ClientKey> for Clients {
    type Value = Found;
    type Error = Error;

    async fn load(&self, keys: &[ClientKey]) -> Result<HashMap<ClientKey, Found>, Error> {
        let mut by_wanted: HashMap<Wanted, Vec<String>> = HashMap::new();
        for ClientKey { key, wanted } in keys {
            by_wanted.entry(*wanted).or_default().push(key.clone());
        }
        let mut found = HashMap::with_capacity(keys.len());
        for (wanted, keys) in by_wanted {
            let clients = self.0.clients_by_key(&keys, wanted).await?;
            for client in clients.rows {
                let key = ClientKey {
                    key: client.client.encoded_key.clone(),
                    wanted,
                };
                found.insert(
                    key,
                    Found {
                        client: Arc::new(client),
                        definitions: clients.definitions.clone(),
                    },
                );
            }
        }
        Ok(found)
    }
}

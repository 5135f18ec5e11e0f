//! The data around rows, loaded before anything is written. One statement for each kind of object on each level,
//! whatever the number of rows.
//!
//! Loaders check the caller's permissions. Values of custom field sets that the caller may not view are left out here.

mod loading;

use std::{collections::HashMap, sync::Arc};

use entity::message;

pub use self::loading::too_large;
use self::loading::{Loading, Rows};
use super::{load::Loaders, load_plan::LoadPlan};
use clientele_domain::{
    audit::HistoryPage,
    caller::{Caller, Rights},
    client::Aggregate,
    definitions::Definitions,
    notify::{MessagePage, content::Content},
};
use clientele_storage::paging::Window;

/// The data around rows.
#[derive(Debug)]
pub struct LoadedData {
    /// The rights of the caller.
    pub rights: Arc<Rights>,
    /// The current definitions.
    pub definitions: Arc<Definitions>,
    /// The clients that links and messages lead to.
    pub clients: HashMap<String, Arc<Aggregate>>,
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
        let rows = Rows::of(clients, []);
        Loading::new(loaders, caller, load_plan, Some(definitions))
            .load(rows)
            .await
    }

    /// Loads the data around messages.
    pub async fn around_messages<'a>(
        messages: impl IntoIterator<Item = &'a message::Model>,
        load_plan: &LoadPlan<'_>,
        loaders: &Loaders,
        caller: &Caller,
    ) -> async_graphql::Result<Self> {
        let rows = Rows::of([], messages);
        Loading::new(loaders, caller, load_plan, None).load(rows).await
    }

    /// A part of a client's messages.
    pub fn page(&self, window: &Window, client_key: &str) -> Option<&MessagePage> {
        self.pages.get(window)?.get(client_key).map(|page| &**page)
    }

    /// A part of a client's audit log; none for callers who may not view it.
    pub fn history(&self, window: &Window, client_key: &str) -> Option<&HistoryPage> {
        self.histories.get(window)?.get(client_key)
    }

    /// The text of a message; none when it has been removed.
    pub fn content(&self, message: &message::Model) -> Option<&Content> {
        self.contents.get(&message.encoded_key)
    }
}

//! What rows are written with: everything that their selections reach, loaded before anything is written. One statement
//! for each kind of thing on each level, whatever the number of rows.
//!
//! Loaders serve many callers at once and give everything that this one has the permission for; values that it may not
//! see are left out here.

mod loading;

use std::{collections::HashMap, sync::Arc};

use entity::message;

pub use self::loading::too_large;
use self::loading::{Loading, Rows};
use super::{load::Loaders, reach::Reach};
use clientele_domain::{
    audit::HistoryPage,
    caller::{Caller, Rights},
    client::Aggregate,
    definitions::Definitions,
    notify::{MessagePage, content::Content},
};
use clientele_storage::paging::Window;

/// What was loaded beside rows.
#[derive(Debug)]
pub struct World {
    /// What the caller may see of it.
    pub rights: Arc<Rights>,
    /// The definitions in force.
    pub definitions: Arc<Definitions>,
    /// The clients that links and messages lead to.
    pub clients: HashMap<String, Arc<Aggregate>>,
    /// Parts of clients' messages, by the clients' keys.
    pages: HashMap<Window, HashMap<String, Arc<MessagePage>>>,
    /// Parts of clients' history, by the clients' keys.
    histories: HashMap<Window, HashMap<String, HistoryPage>>,
    /// What messages say, by their keys.
    contents: HashMap<String, Content>,
}

impl World {
    /// Loads what is reached from clients, which were read with these definitions.
    pub async fn around<'a>(
        clients: impl IntoIterator<Item = &'a Aggregate>,
        reach: &Reach<'_>,
        definitions: Arc<Definitions>,
        loaders: &Loaders,
        caller: &Caller,
    ) -> async_graphql::Result<Self> {
        let rows = Rows::of(clients, []);
        Loading::new(loaders, caller, reach, Some(definitions)).load(rows).await
    }

    /// Loads what is reached from messages.
    pub async fn around_messages<'a>(
        messages: impl IntoIterator<Item = &'a message::Model>,
        reach: &Reach<'_>,
        loaders: &Loaders,
        caller: &Caller,
    ) -> async_graphql::Result<Self> {
        let rows = Rows::of([], messages);
        Loading::new(loaders, caller, reach, None).load(rows).await
    }

    /// A part of a client's messages.
    pub fn page(&self, window: &Window, client_key: &str) -> Option<&MessagePage> {
        self.pages.get(window)?.get(client_key).map(|page| &**page)
    }

    /// A part of a client's history; none for callers who may not see it.
    pub fn history(&self, window: &Window, client_key: &str) -> Option<&HistoryPage> {
        self.histories.get(window)?.get(client_key)
    }

    /// What a message says; none when its text has been removed.
    pub fn content(&self, message: &message::Model) -> Option<&Content> {
        self.contents.get(&message.encoded_key)
    }
}

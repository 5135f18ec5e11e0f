//! Clients in pages.

use super::{Client, ClientRow};
use crate::api::graphql::{
    loaded::LoadedData,
    objects::connection::{Listed, Words},
};
use clientele_domain::client::ClientPage;

impl Listed for Client {
    type Page = ClientPage;
    const WORDS: Words = Words {
        connection: "ClientConnection",
        page: "A page of clients.",
        edges: "The clients of the page, each with its cursor.",
        nodes: "The clients of the page.",
        total: "The number of clients that pass the filter, exact up to 10,000: see `totalCountPrecision`. Counted only \
                if selected.",
        edge: "ClientEdge",
        entry: "A client in a page.",
        cursor: "Where the client stands in the list: for `after` and `before`.",
        node: "The client.",
    };

    fn more(page: &ClientPage) -> (bool, bool) {
        (page.clients.has_next, page.clients.has_previous)
    }

    fn count(page: &ClientPage) -> usize {
        page.clients.rows.len()
    }

    fn cursor(page: &ClientPage, at: usize) -> String {
        page.cursor(&page.clients.rows[at])
    }

    fn row<'a>(page: &'a ClientPage, at: usize, loaded: &'a LoadedData) -> ClientRow<'a> {
        let aggregate = &page.clients.rows[at];
        ClientRow { aggregate, loaded }
    }
}

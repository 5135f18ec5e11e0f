//! Pages of clients, in Relay's form.

use std::borrow::Cow;

use super::client::{Client, ClientRow};
use crate::{
    api::graphql::{
        load::World,
        object::{Field, Is, Object, Plan, list, list_of, object, one_of},
    },
    client::{Aggregate, ClientPage},
};

/// A page of clients, and what was loaded beside it.
#[derive(Clone, Copy)]
pub struct PageRow<'a> {
    pub page: &'a ClientPage,
    pub world: &'a World,
    pub total: Option<i64>,
    pub has_next: bool,
    pub has_previous: bool,
}

#[derive(Clone, Copy)]
pub struct EdgeRow<'a> {
    page: PageRow<'a>,
    aggregate: &'a Aggregate,
}

impl<'a> PageRow<'a> {
    fn clients(self) -> impl Iterator<Item = ClientRow<'a>> {
        self.page.rows.iter().map(move |aggregate| ClientRow {
            aggregate,
            world: self.world,
        })
    }
}

pub struct ClientConnection;

impl Object for ClientConnection {
    const NAME: &'static str = "ClientConnection";
    const DESCRIPTION: &'static str = "A page of clients.";
    type Row<'a> = PageRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field {
            name: "edges",
            description: "The clients of the page, each with its cursor.",
            is: Is::Objects {
                ty: list_of::<ClientEdge>,
                plan: Plan::of::<ClientEdge>,
                arguments: &[],
                write: |row, step, out| {
                    let edges = row.page.rows.iter().map(|aggregate| EdgeRow { page: row, aggregate });
                    list::<ClientEdge>(edges, &step.plan, out);
                },
            },
        },
        Field {
            name: "nodes",
            description: "The clients of the page.",
            is: Is::Objects {
                ty: list_of::<Client>,
                plan: Plan::of::<Client>,
                arguments: &[],
                write: |row, step, out| list::<Client>(row.clients(), &step.plan, out),
            },
        },
        Field {
            name: "pageInfo",
            description: "Whether there is more, and how to get it.",
            is: Is::Objects {
                ty: one_of::<PageInfo>,
                plan: Plan::of::<PageInfo>,
                arguments: &[],
                write: |row, step, out| object::<PageInfo>(row, &step.plan, out),
            },
        },
        Field {
            name: "totalCount",
            description: "How many clients pass the filter. Counted only when asked for, which takes time on a large bank.",
            is: Is::Int(|row| row.total.unwrap_or_default()),
        },
    ];
}

pub struct ClientEdge;

impl Object for ClientEdge {
    const NAME: &'static str = "ClientEdge";
    const DESCRIPTION: &'static str = "A client in a page.";
    type Row<'a> = EdgeRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field {
            name: "cursor",
            description: "Where the client stands in the list: for `after` and `before`.",
            is: Is::Text(|row| Cow::Owned(row.page.page.cursor(row.aggregate))),
        },
        Field {
            name: "node",
            description: "The client.",
            is: Is::Objects {
                ty: one_of::<Client>,
                plan: Plan::of::<Client>,
                arguments: &[],
                write: |row, step, out| {
                    let client = ClientRow {
                        aggregate: row.aggregate,
                        world: row.page.world,
                    };
                    object::<Client>(client, &step.plan, out);
                },
            },
        },
    ];
}

pub struct PageInfo;

impl Object for PageInfo {
    const NAME: &'static str = "PageInfo";
    const DESCRIPTION: &'static str = "Whether there is more, and how to get it.";
    type Row<'a> = PageRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field {
            name: "hasNextPage",
            description: "Whether there are clients after this page. Known when reading forward, or from a `before`.",
            is: Is::Boolean(|row| row.has_next),
        },
        Field {
            name: "hasPreviousPage",
            description: "Whether there are clients before this page. Known when reading backward, or from an `after`.",
            is: Is::Boolean(|row| row.has_previous),
        },
        Field {
            name: "startCursor",
            description: "The cursor of the first client; null in an empty page.",
            is: Is::MaybeOwned(|row| row.page.rows.first().map(|client| row.page.cursor(client))),
        },
        Field {
            name: "endCursor",
            description: "The cursor of the last client; null in an empty page.",
            is: Is::MaybeOwned(|row| row.page.rows.last().map(|client| row.page.cursor(client))),
        },
    ];
}

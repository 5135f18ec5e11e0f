//! Relay's connections, for any type that comes in pages.

use std::{borrow::Cow, marker::PhantomData};

use crate::api::graphql::loaded::LoadedData;
use clientele_storage::paging::{CountPrecision, Total};
use graphql_server::object::{Argument, Field, FieldKind, Object, Selection, list, list_of, object, one_of};

/// A type whose objects come in pages.
pub trait Listed: Object {
    type Page: Send + Sync + 'static;
    const WORDS: Words;

    /// Two flags: more entries after the page, and more before it.
    fn more(page: &Self::Page) -> (bool, bool);
    fn count(page: &Self::Page) -> usize;
    fn cursor(page: &Self::Page, at: usize) -> String;
    fn row<'a>(page: &'a Self::Page, at: usize, loaded: &'a LoadedData) -> Self::Row<'a>;
}

/// The names and descriptions of a type's pages in the schema.
pub struct Words {
    pub connection: &'static str,
    pub page: &'static str,
    pub edges: &'static str,
    pub nodes: &'static str,
    pub total: &'static str,
    pub edge: &'static str,
    pub entry: &'static str,
    pub cursor: &'static str,
    pub node: &'static str,
}

/// The arguments of a connection inside an object.
pub const PAGE_ARGUMENTS: &[Argument] = &[
    Argument {
        name: "first",
        description: "How many from the start, or after `after`: 50 unless given, at most 500.",
        ty: "Int",
    },
    Argument {
        name: "after",
        description: "Only those after this cursor.",
        ty: "String",
    },
    Argument {
        name: "last",
        description: "How many from the end, or before `before`: at most 500. Not together with `first`.",
        ty: "Int",
    },
    Argument {
        name: "before",
        description: "Only those before this cursor.",
        ty: "String",
    },
];

/// A page, and the data around its rows.
pub struct PageRow<'a, T: Listed> {
    pub page: &'a T::Page,
    pub loaded: &'a LoadedData,
    pub total: Option<Total>,
}

impl<T: Listed> Clone for PageRow<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Listed> Copy for PageRow<'_, T> {}

pub struct EdgeRow<'a, T: Listed> {
    page: PageRow<'a, T>,
    at: usize,
}

impl<T: Listed> Clone for EdgeRow<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Listed> Copy for EdgeRow<'_, T> {}

pub struct Connection<T>(PhantomData<fn() -> T>);

impl<T: Listed> Object for Connection<T> {
    const NAME: &'static str = T::WORDS.connection;
    const DESCRIPTION: &'static str = T::WORDS.page;
    type Row<'a> = PageRow<'a, T>;
    const FIELDS: &'static [Field<Self>] = &[
        Field {
            name: "edges",
            description: T::WORDS.edges,
            kind: FieldKind::Objects {
                ty: list_of::<Edge<T>>,
                select: Selection::of::<Edge<T>>,
                arguments: &[],
                write: |row, field, json| {
                    let edges = (0..T::count(row.page)).map(|at| EdgeRow { page: row, at });
                    list::<Edge<T>>(edges, &field.selection, json);
                },
            },
        },
        Field {
            name: "nodes",
            description: T::WORDS.nodes,
            kind: FieldKind::Objects {
                ty: list_of::<T>,
                select: Selection::of::<T>,
                arguments: &[],
                write: |row, field, json| {
                    let rows = (0..T::count(row.page)).map(|at| T::row(row.page, at, row.loaded));
                    list::<T>(rows, &field.selection, json);
                },
            },
        },
        Field {
            name: "pageInfo",
            description: "Whether there is more, and how to get it.",
            kind: FieldKind::Objects {
                ty: one_of::<PageInfo>,
                select: Selection::of::<PageInfo>,
                arguments: &[],
                write: |row, field, json| {
                    let (has_next, has_previous) = T::more(row.page);
                    let last = T::count(row.page).checked_sub(1);
                    let [start, end] = [last.map(|_| 0), last].map(|at| at.map(|at| T::cursor(row.page, at)));
                    let info = PageInfoRow {
                        has_next,
                        has_previous,
                        start: start.as_deref(),
                        end: end.as_deref(),
                    };
                    object::<PageInfo>(info, &field.selection, json);
                },
            },
        },
        Field {
            name: "totalCount",
            description: T::WORDS.total,
            kind: FieldKind::Int(|row| row.total.map_or(0, |total| total.count)),
        },
        Field::one_of::<CountPrecision>(
            "totalCountPrecision",
            "EXACT if `totalCount` is the number of entries in the list; AT_LEAST if there are more, as a \
                          count ends at 10,000.",
            |row| Some(row.total?.precision.as_str()),
        ),
    ];
}

pub struct Edge<T>(PhantomData<fn() -> T>);

impl<T: Listed> Object for Edge<T> {
    const NAME: &'static str = T::WORDS.edge;
    const DESCRIPTION: &'static str = T::WORDS.entry;
    type Row<'a> = EdgeRow<'a, T>;
    const FIELDS: &'static [Field<Self>] = &[
        Field {
            name: "cursor",
            description: T::WORDS.cursor,
            kind: FieldKind::Text(|row| Cow::Owned(T::cursor(row.page.page, row.at))),
        },
        Field {
            name: "node",
            description: T::WORDS.node,
            kind: FieldKind::Objects {
                ty: one_of::<T>,
                select: Selection::of::<T>,
                arguments: &[],
                write: |row, field, json| {
                    object::<T>(T::row(row.page.page, row.at, row.page.loaded), &field.selection, json);
                },
            },
        },
    ];
}

#[derive(Clone, Copy)]
pub struct PageInfoRow<'a> {
    has_next: bool,
    has_previous: bool,
    start: Option<&'a str>,
    end: Option<&'a str>,
}

pub struct PageInfo;

impl Object for PageInfo {
    const NAME: &'static str = "PageInfo";
    const DESCRIPTION: &'static str = "Whether there is more, and how to get it.";
    type Row<'a> = PageInfoRow<'a>;
    const FIELDS: &'static [Field<Self>] = &[
        Field::boolean(
            "hasNextPage",
            "Whether there is more after this page. Known when reading forward, or from a `before`.",
            |row| row.has_next,
        ),
        Field::boolean(
            "hasPreviousPage",
            "Whether there is more before this page. Known when reading backward, or from an `after`.",
            |row| row.has_previous,
        ),
        Field::maybe_text(
            "startCursor",
            "The cursor of the first entry; null in an empty page.",
            |row| row.start,
        ),
        Field::maybe_text(
            "endCursor",
            "The cursor of the last entry; null in an empty page.",
            |row| row.end,
        ),
    ];
}

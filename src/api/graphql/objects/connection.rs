//! Relay's connections, for any type that comes in pages.

use std::marker::PhantomData;

use crate::api::graphql::loaded::LoadedData;
use clientele_storage::paging::{CountPrecision, Page, Total};
use graphql_server::object::{Argument, Field, Object};

/// A type whose objects come in pages.
pub trait Listed: Object {
    const CONNECTION: &'static str;
    const EDGE: &'static str;
    const DESCRIPTION_OF_PAGE: &'static str;
    /// A page with everything that belongs to it.
    type List: Send + Sync + 'static;
    type Entry: 'static;

    fn page(list: &Self::List) -> &Page<Self::Entry>;
    fn total(list: &Self::List) -> Option<Total>;
    fn cursor(list: &Self::List, entry: &Self::Entry) -> String;
    fn row<'a>(entry: &'a Self::Entry, loaded: &'a LoadedData) -> Self::Row<'a>;
}

/// Makes the objects of a type come in pages: `$page` is the member of the list that has the entries.
macro_rules! listed {
    ($ty:ident, $description:literal, $list:ty => $page:ident: $entry:ty;
        cursor |$of:pat_param, $cursor_of:ident| $cursor:expr;
        row |$row_of:ident, $loaded:pat_param| $row:expr) => {
        impl $crate::api::graphql::objects::connection::Listed for $ty {
            const CONNECTION: &'static str = concat!(stringify!($ty), "Connection");
            const EDGE: &'static str = concat!(stringify!($ty), "Edge");
            const DESCRIPTION_OF_PAGE: &'static str = $description;
            type List = $list;
            type Entry = $entry;

            fn page(list: &$list) -> &clientele_storage::paging::Page<$entry> {
                &list.$page
            }

            fn total(list: &$list) -> Option<clientele_storage::paging::Total> {
                list.total
            }

            fn cursor($of: &$list, $cursor_of: &$entry) -> String {
                $cursor
            }

            fn row<'a>(
                $row_of: &'a $entry,
                $loaded: &'a $crate::api::graphql::loaded::LoadedData,
            ) -> <Self as graphql_server::object::Object>::Row<'a> {
                $row
            }
        }
    };
}
pub(super) use listed;

pub const fn argument(name: &'static str, description: &'static str, ty: &'static str) -> Argument {
    Argument { name, description, ty }
}

/// The arguments of a connection inside an object.
pub const PAGE_ARGUMENTS: &[Argument] = &[
    argument(
        "first",
        "Number of entries from the start: 50 by default, at most 500.",
        "Int",
    ),
    argument("after", "Only entries after this cursor.", "String"),
    argument(
        "last",
        "Number of entries from the end: at most 500. Not together with `first`.",
        "Int",
    ),
    argument("before", "Only entries before this cursor.", "String"),
];

/// A page, and the data around its rows.
pub struct PageRow<'a, T: Listed> {
    pub list: &'a T::List,
    pub loaded: &'a LoadedData,
}

impl<T: Listed> Clone for PageRow<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T: Listed> Copy for PageRow<'_, T> {}

impl<'a, T: Listed> PageRow<'a, T> {
    fn entries(self) -> impl Iterator<Item = &'a T::Entry> {
        T::page(self.list).rows.iter()
    }
}

pub struct Connection<T>(PhantomData<fn() -> T>);

impl<T: Listed> Object for Connection<T> {
    const NAME: &'static str = T::CONNECTION;
    const DESCRIPTION: &'static str = T::DESCRIPTION_OF_PAGE;
    type Row<'a> = PageRow<'a, T>;
    const FIELDS: &'static [Field<Self>] = fields! {
        list<Edge<T>> edges "The entries of this page, each with its cursor."
            => |row| row.entries().map(|entry| (row, entry));
        list<T> nodes "The entries of this page, without their cursors."
            => |row| row.entries().map(|entry| T::row(entry, row.loaded));
        one<PageInfo> pageInfo "The position of this page in the list." => |row| &PagePosition::of::<T>(row.list);
        int totalCount "The number of entries in the list, counted up to 10,000: see `totalCountPrecision`. It is \
            counted only if it is selected." => |row| T::total(row.list).map_or(0, |total| total.count);
        enum<CountPrecision> totalCountPrecision "EXACT if `totalCount` is the number of entries in the list; AT_LEAST \
            if the list has more entries, because counting stops at 10,000."
            => |row| T::total(row.list)?.precision.as_str();
    };
}

pub struct Edge<T>(PhantomData<fn() -> T>);

impl<T: Listed> Object for Edge<T> {
    const NAME: &'static str = T::EDGE;
    const DESCRIPTION: &'static str = "An entry of a page, with its cursor.";
    type Row<'a> = (PageRow<'a, T>, &'a T::Entry);
    const FIELDS: &'static [Field<Self>] = fields! {
        text cursor "The position of this entry in the list, for `after` and `before`."
            => |(row, entry)| T::cursor(row.list, entry);
        one<T> node "The entry." => |(row, entry)| T::row(entry, row.loaded);
    };
}

/// The position of a page in its list, the same for pages of any type.
pub struct PagePosition {
    has_next: bool,
    has_previous: bool,
    start: Option<String>,
    end: Option<String>,
}

impl PagePosition {
    fn of<T: Listed>(list: &T::List) -> Self {
        let page = T::page(list);
        let cursor = |entry| T::cursor(list, entry);
        Self {
            has_next: page.has_next,
            has_previous: page.has_previous,
            start: page.rows.first().map(cursor),
            end: page.rows.last().map(cursor),
        }
    }
}

object! {
    type PageInfo = &'a PagePosition, "The position of a page in its list.";

    boolean hasNextPage "True if there are entries after this page. Always false when paging backward without `before`."
        => |row| row.has_next;
    boolean hasPreviousPage "True if there are entries before this page. Always false when paging forward without \
        `after`." => |row| row.has_previous;
    maybe_text startCursor "The cursor of the first entry; null if the page is empty." => |row| row.start.as_deref();
    maybe_text endCursor "The cursor of the last entry; null if the page is empty." => |row| row.end.as_deref();
}

//! The plan of what to load for the rows at hand, level by level, from the selections.
//!
//! It is made before anything is read or written, so that a mistake in a field's arguments refuses the request as a
//! whole.

use super::page::PageArguments;
use clientele_domain::{audit, client::ClientParts, notify::NEWEST_FIRST};
use clientele_storage::paging::{Requested, Window};
use graphql_server::{
    GraphqlError,
    object::{SelectedField, Selection},
};

/// The collections that selections of clients need.
pub fn selected_parts<'a>(selections: impl IntoIterator<Item = &'a Selection>) -> ClientParts {
    selections.into_iter().fold(ClientParts::default(), |parts, selection| {
        parts.or(ClientParts {
            addresses: selection.selects("addresses"),
            id_documents: selection.selects("idDocuments"),
            custom_values: selection.selects("customInformation"),
        })
    })
}

/// The selections of the objects in a page.
pub fn selected(page: &Selection) -> impl Iterator<Item = &Selection> {
    let edges = page.below("edges").flat_map(|edge| edge.selection.below("node"));
    edges.chain(page.below("nodes")).map(|field| &field.selection)
}

/// The part of a client's messages that a field selects.
///
/// # Errors
/// Arguments that don't fit together, or a cursor of another list.
pub fn window(messages: &SelectedField) -> Result<Window, GraphqlError> {
    PageArguments::of(messages).window("messages", "messages.", &NEWEST_FIRST)
}

/// The part of a client's audit log that a field selects.
///
/// # Errors
/// As for [`window`].
pub fn history_window(history: &SelectedField) -> Result<Window, GraphqlError> {
    PageArguments::of(history).window("records", "history.", &audit::BY_POSITION)
}

/// The parts of a list that the selection of its page needs.
pub fn requested(page: &Selection) -> Requested {
    Requested {
        rows: ROWS.iter().any(|name| page.selects(name)),
        total: TOTAL.iter().any(|name| page.selects(name)),
        contents: selected(page).any(|record| record.selects("changes")),
    }
}

/// The fields of a page that need its rows, and those that need the number of rows in the list.
pub const ROWS: &[&str] = &["edges", "nodes", "pageInfo"];
pub const TOTAL: &[&str] = &["totalCount", "totalCountPrecision"];

/// The levels to load; the first is around the rows at hand.
#[derive(Debug, Default)]
pub struct LoadPlan<'p> {
    pub levels: Vec<Level<'p>>,
}

/// The selections of one level.
#[derive(Debug, Default)]
pub struct Level<'p> {
    /// The selections of the clients that these clients link to.
    pub linked: Vec<&'p Selection>,
    /// The selections of the clients that these clients were merged into.
    pub merged: Vec<&'p Selection>,
    /// The selections of the recipients of these messages.
    pub recipients: Vec<&'p Selection>,
    /// The selections of the clients of these changes.
    pub changed: Vec<&'p Selection>,
    /// The selections of the messages in pages of these clients' messages.
    messages: Vec<&'p Selection>,
    /// The pages of these clients' messages, and the parts of each that any level needs.
    pub pages: Vec<(Window, Requested)>,
    /// The pages of these clients' audit log.
    pub histories: Vec<(Window, Requested)>,
    /// True if the texts of these messages are selected.
    pub content: bool,
    /// True if their templates are selected.
    pub templates: bool,
}

impl<'p> LoadPlan<'p> {
    /// Around clients with these selections.
    pub fn of_clients(selections: &[&'p Selection]) -> Result<Self, GraphqlError> {
        Self::from(Level::of(selections, &[])?)
    }

    /// Around messages with these selections.
    pub fn of_messages(selections: &[&'p Selection]) -> Result<Self, GraphqlError> {
        Self::from(Level::of(&[], selections)?)
    }

    /// Around clients of which only the linked clients are selected.
    pub fn of_links(linked: Vec<&'p Selection>) -> Result<Self, GraphqlError> {
        Self::from(Level {
            linked,
            ..Level::default()
        })
    }

    /// Around changes with these clients.
    pub fn of_changes(changed: Vec<&'p Selection>) -> Result<Self, GraphqlError> {
        Self::from(Level {
            changed,
            ..Level::default()
        })
    }

    fn from(mut level: Level<'p>) -> Result<Self, GraphqlError> {
        let mut levels = Vec::new();
        while !level.is_empty() {
            let next = level.next()?;
            levels.push(level);
            level = next;
        }
        unite(&mut levels, |level| &mut level.pages);
        unite(&mut levels, |level| &mut level.histories);
        Ok(Self { levels })
    }

    /// The collections to load of clients on any level, because a client can be on several levels.
    pub fn parts(&self) -> ClientParts {
        let selections = self.levels.iter().flat_map(Level::clients);
        selected_parts(selections)
    }
}

impl<'p> Level<'p> {
    fn of(clients: &[&'p Selection], messages: &[&'p Selection]) -> Result<Self, GraphqlError> {
        let values = clients
            .iter()
            .flat_map(|selection| selection.below("customInformation"));
        let linked = values.flat_map(|field| field.selection.below("linkedClient"));
        let merged = clients.iter().flat_map(|selection| selection.below("mergedInto"));
        let recipients = messages.iter().flat_map(|selection| selection.below("client"));
        let fields: Vec<&'p SelectedField> = clients
            .iter()
            .flat_map(|selection| selection.below("messages"))
            .collect();
        let mut pages = Vec::new();
        for field in &fields {
            add(&mut pages, window(field)?, requested(&field.selection));
        }
        let mut histories = Vec::new();
        for field in clients.iter().flat_map(|selection| selection.below("history")) {
            add(&mut histories, history_window(field)?, requested(&field.selection));
        }
        Ok(Self {
            linked: linked.map(|field| &field.selection).collect(),
            merged: merged.map(|field| &field.selection).collect(),
            recipients: recipients.map(|field| &field.selection).collect(),
            changed: Vec::new(),
            messages: fields.iter().flat_map(|field| selected(&field.selection)).collect(),
            pages,
            histories,
            content: selects_any(messages, &["subject", "text", "html"]),
            templates: selects_any(messages, &["template"]),
        })
    }

    fn next(&self) -> Result<Self, GraphqlError> {
        let clients: Vec<&'p Selection> = self.clients().collect();
        Self::of(&clients, &self.messages)
    }

    /// The selections of the clients on the next level.
    fn clients(&self) -> impl Iterator<Item = &'p Selection> {
        let clients = self.linked.iter().chain(&self.merged);
        clients.chain(&self.recipients).chain(&self.changed).copied()
    }

    fn is_empty(&self) -> bool {
        self.linked.is_empty()
            && self.merged.is_empty()
            && self.recipients.is_empty()
            && self.changed.is_empty()
            && self.pages.is_empty()
            && self.histories.is_empty()
            && !self.content
            && !self.templates
    }
}

fn selects_any(selections: &[&Selection], names: &[&str]) -> bool {
    selections
        .iter()
        .any(|selection| names.iter().any(|name| selection.selects(name)))
}

/// A page can be on several levels: it is loaded once, with all parts that any of them needs.
fn unite<'p>(levels: &mut [Level<'p>], pages: impl for<'a> Fn(&'a mut Level<'p>) -> &'a mut Vec<(Window, Requested)>) {
    let mut all = Vec::new();
    for level in &mut *levels {
        for (window, requested) in pages(level) {
            add(&mut all, window.clone(), *requested);
        }
    }
    for level in levels {
        for (window, requested) in pages(level) {
            let known = all.iter().find(|(known, _)| known == window);
            *requested = known.map_or(*requested, |(_, all)| *all);
        }
    }
}

/// Adds a page in the order of the selection, so that several objects of a request load the same pages at the same
/// time.
fn add(pages: &mut Vec<(Window, Requested)>, window: Window, requested: Requested) {
    match pages.iter_mut().find(|(known, _)| *known == window) {
        Some((_, known)) => *known = known.or(requested),
        None => pages.push((window, requested)),
    }
}

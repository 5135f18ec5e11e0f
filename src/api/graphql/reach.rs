//! How far selections reach: what has to be loaded around the rows that are at hand, level by level.
//!
//! Known before anything is read or written, so that a mistake in a field's arguments refuses the request as a whole.

use super::page::{PageArguments, of_argument};
use clientele_domain::{audit, client::Wanted, notify::NEWEST_FIRST};
use clientele_storage::paging::{Asked, Order, Window};
use graphql_server::{
    error::Fault,
    object::{Plan, Step},
};

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

/// The selections of the objects in a page.
pub fn selected(page: &Plan) -> impl Iterator<Item = &Plan> {
    let edges = page.below("edges").flat_map(|edge| edge.plan.below("node"));
    edges.chain(page.below("nodes")).map(|step| &step.plan)
}

/// The part of a client's messages that a field asks for.
///
/// # Errors
/// Arguments that don't fit together, or a cursor of another list.
pub fn window(messages: &Step) -> Result<Window, Fault> {
    window_of(messages, "messages", "messages.", &NEWEST_FIRST)
}

/// The part of a client's history that a field asks for.
///
/// # Errors
/// As for [`window`].
pub fn history_window(history: &Step) -> Result<Window, Fault> {
    window_of(history, "records", "history.", &audit::BY_POSITION)
}

fn window_of(step: &Step, what: &str, place: &str, order: &Order) -> Result<Window, Fault> {
    let range = PageArguments::of(step).range(what, place)?;
    Window::of(&range, order).map_err(|problem| of_argument(place, &problem))
}

/// The parts of a list that the selection of its page needs.
pub fn asked(page: &Plan) -> Asked {
    Asked {
        rows: ROWS.iter().any(|name| page.asks(name)),
        total: TOTAL.iter().any(|name| page.asks(name)),
        contents: false,
    }
}

/// The fields of a page that need its rows, and those that need the number of rows in the list.
pub const ROWS: &[&str] = &["edges", "nodes", "pageInfo"];
pub const TOTAL: &[&str] = &["totalCount", "totalCountPrecision"];

/// The levels around the rows at hand; the first is what is asked of these.
#[derive(Debug, Default)]
pub struct Reach<'p> {
    pub levels: Vec<Level<'p>>,
}

/// What is asked of the clients and messages of one level.
#[derive(Debug, Default)]
pub struct Level<'p> {
    /// The selections of the clients that these clients link to.
    pub linked: Vec<&'p Plan>,
    /// The selections of the clients whom these messages are for.
    pub recipients: Vec<&'p Plan>,
    /// The selections of the messages in pages of these clients' messages.
    messages: Vec<&'p Plan>,
    /// The pages of these clients' messages, and what is to be known of them on any level.
    pub pages: Vec<(Window, Asked)>,
    /// The pages of these clients' history.
    pub histories: Vec<(Window, Asked)>,
    /// Whether what these messages say is to be written.
    pub content: bool,
    /// Whether their templates are.
    pub templates: bool,
}

impl<'p> Reach<'p> {
    /// Around clients with these selections.
    pub fn of_clients(plans: &[&'p Plan]) -> Result<Self, Fault> {
        Self::from(Level::of(plans, &[])?)
    }

    /// Around messages with these selections.
    pub fn of_messages(plans: &[&'p Plan]) -> Result<Self, Fault> {
        Self::from(Level::of(&[], plans)?)
    }

    /// Around clients of which nothing but their links is asked, which have these selections.
    pub fn of_links(linked: Vec<&'p Plan>) -> Result<Self, Fault> {
        Self::from(Level {
            linked,
            ..Level::default()
        })
    }

    fn from(mut level: Level<'p>) -> Result<Self, Fault> {
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

    /// The collections of clients beyond those at hand. A client, too, may be met on several levels.
    pub fn wanted(&self) -> Wanted {
        let plans = self.levels.iter().flat_map(Level::clients);
        wanted(plans)
    }
}

impl<'p> Level<'p> {
    fn of(clients: &[&'p Plan], messages: &[&'p Plan]) -> Result<Self, Fault> {
        let values = clients.iter().flat_map(|plan| plan.below("customInformation"));
        let linked = values.flat_map(|step| step.plan.below("linkedClient"));
        let recipients = messages.iter().flat_map(|plan| plan.below("client"));
        let steps: Vec<&'p Step> = clients.iter().flat_map(|plan| plan.below("messages")).collect();
        let mut pages = Vec::new();
        for step in &steps {
            add(&mut pages, window(step)?, asked(&step.plan));
        }
        let mut histories = Vec::new();
        for step in clients.iter().flat_map(|plan| plan.below("history")) {
            let contents = asks_changes(&step.plan);
            let asked = Asked {
                contents,
                ..asked(&step.plan)
            };
            add(&mut histories, history_window(step)?, asked);
        }
        Ok(Self {
            linked: linked.map(|step| &step.plan).collect(),
            recipients: recipients.map(|step| &step.plan).collect(),
            messages: steps.iter().flat_map(|step| selected(&step.plan)).collect(),
            pages,
            histories,
            content: asks_any(messages, &["subject", "text", "html"]),
            templates: asks_any(messages, &["template"]),
        })
    }

    fn next(&self) -> Result<Self, Fault> {
        let clients: Vec<&'p Plan> = self.clients().collect();
        Self::of(&clients, &self.messages)
    }

    /// The selections of the clients on the next level.
    fn clients(&self) -> impl Iterator<Item = &'p Plan> {
        self.linked.iter().chain(&self.recipients).copied()
    }

    fn is_empty(&self) -> bool {
        self.linked.is_empty()
            && self.recipients.is_empty()
            && self.pages.is_empty()
            && self.histories.is_empty()
            && !self.content
            && !self.templates
    }
}

/// Whether a page of the history is to say what changed.
pub fn asks_changes(page: &Plan) -> bool {
    selected(page).any(|record| record.asks("changes"))
}

fn asks_any(plans: &[&Plan], names: &[&str]) -> bool {
    plans.iter().any(|plan| names.iter().any(|name| plan.asks(name)))
}

/// A page may be met on several levels: it is loaded once, with all that any of them asks for.
fn unite<'p>(levels: &mut [Level<'p>], pages: impl for<'a> Fn(&'a mut Level<'p>) -> &'a mut Vec<(Window, Asked)>) {
    let mut all = Vec::new();
    for level in &mut *levels {
        for (window, asked) in pages(level) {
            add(&mut all, window.clone(), *asked);
        }
    }
    for level in levels {
        for (window, asked) in pages(level) {
            let known = all.iter().find(|(known, _)| known == window);
            *asked = known.map_or(*asked, |(_, all)| *all);
        }
    }
}

/// In the order of the selection: what several objects of a request load at the same time is then the same thing.
fn add(pages: &mut Vec<(Window, Asked)>, window: Window, asked: Asked) {
    match pages.iter_mut().find(|(known, _)| *known == window) {
        Some((_, known)) => *known = known.or(asked),
        None => pages.push((window, asked)),
    }
}

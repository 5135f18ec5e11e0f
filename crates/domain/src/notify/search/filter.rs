//! Filters a list of messages. All members of a filter must match.

use crate::{
    client_by::ClientBy,
    enums::{Channel, MessageState},
};
use clientele_storage::{
    db::Dialect,
    paging::{Conditions, DateTimeRange},
};

/// Narrows a list of messages.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    pub client: Option<ClientBy>,
    pub states: Option<Vec<MessageState>>,
    pub channel: Option<Channel>,
    /// The id of the template, which may have been deleted since.
    pub template_id: Option<String>,
    pub created_at: Option<DateTimeRange>,
}

/// The condition that an index serves; the other conditions are checked on the rows found.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lead {
    Client,
    State,
    Template,
    Time,
}

impl MessageFilter {
    pub(in crate::notify) fn conditions(&self, dialect: Dialect) -> Conditions {
        let Self {
            client,
            states,
            channel,
            template_id,
            created_at,
        } = self;
        let lead = self.lead();
        let led_by = |which: Lead, column: &str| match lead == which {
            true => column.to_owned(),
            false => dialect.unindexed(column),
        };
        let mut conditions = Conditions::new(dialect);
        if let Some(by) = client {
            conditions.text(Some(by.name()), |name| format!("m.client_key = {}", by.key(name)));
        }
        if let Some(term) = states
            .as_deref()
            .and_then(|states| one_of(states, &led_by(Lead::State, "m.state")))
        {
            conditions.push(term);
        }
        if let Some(channel) = channel {
            let channel = conditions.bind(channel.as_str());
            conditions.push(format!("{} = {channel}", dialect.unindexed("m.channel")));
        }
        conditions.text(template_id.as_ref(), |id| {
            format!("{} = {id}", led_by(Lead::Template, "m.template_id"))
        });
        conditions.range("m.created_at", *created_at);
        conditions
    }

    /// Nearly all messages have been sent, so that the index helps only with the other states.
    fn lead(&self) -> Lead {
        let is_rare = |states: &Vec<MessageState>| !states.contains(&MessageState::Sent);
        if self.client.is_some() {
            Lead::Client
        } else if self.states.as_ref().is_some_and(is_rare) {
            Lead::State
        } else if self.template_id.is_some() {
            Lead::Template
        } else {
            Lead::Time
        }
    }
}

/// Returns the condition of these states; none if it always holds. States are literals: the database plans by their
/// frequency, and there are few different statements.
fn one_of(states: &[MessageState], column: &str) -> Option<String> {
    let asked = MessageState::ALL.into_iter().filter(|state| states.contains(state));
    let asked: Vec<String> = asked.map(|state| format!("'{}'", state.as_str())).collect();
    match asked.as_slice() {
        [] => Some("FALSE".to_owned()),
        [state] => Some(format!("{column} = {state}")),
        all if all.len() == MessageState::ALL.len() => None,
        several => Some(format!("{column} IN ({})", several.join(", "))),
    }
}

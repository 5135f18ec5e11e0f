//! The inputs of lists of messages and of resending, translated into the domain's types.

use async_graphql::{Context, ID, InputObject, Result};

use super::{
    client_by::ClientBy,
    context::{Answer, caller, loaders, selection},
    global_id::GlobalId,
    load_plan::{LoadPlan, requested, selected},
    loaded::LoadedData,
    nodes::message_key,
    objects::{
        connection::{Connection, PageRow},
        message::Message,
    },
    page::{PageArguments, of_argument},
};
use clientele_core::{
    path,
    problem::{Problem, ProblemCode},
};
use clientele_domain::{
    enums::{Channel, MessageState, Reason},
    notify::{self, Messages, NEWEST_FIRST, Resend},
};
use clientele_storage::paging::DateTimeRange;
use graphql_server::object::{RawObject, Selection};

/// Limits a list of messages: all given fields must match.
#[derive(InputObject, Default)]
pub struct MessageFilter {
    /// Messages to this client.
    client: Option<ClientBy>,
    /// Messages in one of these states.
    states: Option<Vec<MessageState>>,
    /// Messages with one of these reasons.
    reasons: Option<Vec<Reason>>,
    /// Messages through this channel.
    channel: Option<Channel>,
    /// Messages written from the template with this ID, which may have been deleted since.
    template_id: Option<String>,
    /// Messages created in this range of time.
    created_at: Option<DateTimeRange>,
}

impl MessageFilter {
    fn read(self) -> Result<notify::MessageFilter, Problem> {
        Ok(notify::MessageFilter {
            client: ClientBy::in_filter(self.client)?,
            states: self.states,
            reasons: self.reasons,
            channel: self.channel,
            template_id: self.template_id,
            created_at: self.created_at,
        })
    }
}

/// Selects the messages to resend, either by `ids` or by a `filter`.
#[derive(InputObject)]
pub struct ResendMessagesInput {
    /// The global IDs of messages that are FAILED, BOUNCED or SUPPRESSED, at most 500. Either all of them are queued or
    /// none. A message to a recipient on the suppression list is refused.
    ids: Option<Vec<ID>>,
    /// Resends the failed messages that match this filter: the oldest first, at most 10,000 at once. `{}` matches all
    /// failed messages. Those that are BOUNCED or SUPPRESSED are resent only if `states` names their state. Messages to
    /// recipients on the suppression list are left out.
    filter: Option<MessageFilter>,
    /// An ID of your choice, which the payload returns unchanged.
    pub client_mutation_id: Option<String>,
}

impl ResendMessagesInput {
    /// The messages to resend.
    ///
    /// # Errors
    /// Both `ids` and a `filter`, or neither.
    pub fn read(self) -> Result<Resend, Problem> {
        match (self.ids, self.filter) {
            (Some(ids), None) => {
                let keys = ids.iter().map(|id| message_key(&GlobalId::decode(id)?));
                Ok(Resend::Named(keys.collect()))
            }
            (None, Some(filter)) => filter.read().map(Resend::Filtered),
            (Some(_), Some(_)) | (None, None) => {
                let message = "Say which messages to resend: either by `ids` or by a `filter`.";
                Err(Problem::new(ProblemCode::Invalid, path![], message))
            }
        }
    }
}

/// Writes the page of messages that a field of the root asks for.
pub(super) async fn page(
    context: &Context<'_>,
    filter: MessageFilter,
    arguments: PageArguments,
) -> Result<Answer<Connection<Message>>> {
    let filter = filter.read().map_err(|problem| of_argument("", &problem))?;
    let window = arguments.window("messages", "", &NEWEST_FIRST)?;
    let selection = selection::<Connection<Message>>(context)?;
    let selections: Vec<&Selection> = selected(&selection).collect();
    let load_plan = LoadPlan::of_messages(&selections)?;
    let page = context
        .data::<Messages>()?
        .page(caller(context)?, &filter, &window, requested(&selection))
        .await?;
    let loaded =
        LoadedData::around_messages(&page.messages.rows, &load_plan, loaders(context)?, caller(context)?).await?;
    let row = PageRow {
        list: &page,
        loaded: &loaded,
    };
    RawObject::object(context, row, &selection).map(Some)
}

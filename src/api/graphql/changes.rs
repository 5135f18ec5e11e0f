//! The root fields that read the change feed.

use std::{collections::BTreeSet, time::Duration};

use async_graphql::{Context, Error, InputObject, Object as Root, PathSegment, Result, Subscription};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::{
    context::{Answer, caller, loaders, selection},
    load_plan::LoadPlan,
    loaded::LoadedData,
    objects::change::{ChangesRow, ClientChange, ClientChanges},
    page::{DEFAULT_PAGE, LARGEST_PAGE as MOST_KEYS, of_argument},
};
use clientele_core::{
    budget::{BudgetPool, Priority, RequestBudget},
    error::Error::{self as CoreError, Busy, TimedOut},
    path,
    problem::{Problem, ProblemCode},
};
use clientele_domain::{
    caller::{Caller, Limit, Rights},
    changes::{
        self, ChangeFeed, ChangeFilter, ChangeKind, ChangeSubscription, ChangesRefused, LARGEST_PAGE, Position,
        SubscriptionEnd,
    },
};
use graphql_server::{
    Code, GraphqlError,
    object::{RawObject, Selection},
};
use tokio::time::{sleep, timeout_at};

/// The pause until memory for answers is asked for again.
const PAUSE: Duration = Duration::from_millis(50);

/// Limits the change feed: all given fields must match. Removals (DELETED, ERASED, LEFT) pass `members`.
#[derive(InputObject, Default)]
pub struct ClientChangeFilter {
    /// Changes of these clients, by their keys: at most 500.
    client_keys: Option<Vec<String>>,
    /// Changes of these kinds.
    kinds: Option<Vec<ChangeKind>>,
    /// Changes of one of these members, which are names of fields of `Client`, such as `lastName`, `addresses` or
    /// `customInformation`.
    members: Option<Vec<String>>,
    /// Changes of clients of this branch, by its key. The change that moves a client out of it has the kind LEFT.
    assigned_branch_key: Option<String>,
    /// Changes of clients of this centre, by its key. The change that moves a client out of it has the kind LEFT.
    assigned_centre_key: Option<String>,
}

impl ClientChangeFilter {
    fn read(self, rights: &Rights) -> Result<ChangeFilter, Problem> {
        if self
            .client_keys
            .as_ref()
            .is_some_and(|keys| keys.len() > MOST_KEYS as usize)
        {
            let message = format!("At most {MOST_KEYS} keys can be given. Send several requests.");
            return Err(Problem::new(
                ProblemCode::TooMany,
                path!["filter", "clientKeys"],
                message,
            ));
        }
        let only = |key: Option<String>| key.map_or(Limit::None, |key| Limit::To(BTreeSet::from([key])));
        let filter = ChangeFilter {
            clients: self.client_keys.map(BTreeSet::from_iter),
            kinds: self.kinds,
            members: self.members.map(BTreeSet::from_iter),
            branches: only(self.assigned_branch_key),
            centres: only(self.assigned_centre_key),
        };
        filter.check(rights)?;
        Ok(filter)
    }
}

/// Reads the change feed.
#[derive(Default)]
pub struct ChangesQuery;

/// Reads the change feed.
#[Root]
impl ChangesQuery {
    /// The committed changes of clients, in an order in which none ever appears before a position that was served.
    /// Start from the position of an export, or from `end`. Requires VIEW_CLIENT.
    async fn client_changes(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Only changes after this position. Without it, the oldest changes that are available.")]
        after: Option<String>,
        #[graphql(desc = "Number of changes: 50 by default, at most 1,000.")] first: Option<i32>,
        #[graphql(desc = "Only changes that match; all changes by default.")] filter: Option<ClientChangeFilter>,
    ) -> Result<Answer<ClientChanges>> {
        let first = match first.map(u32::try_from) {
            None => DEFAULT_PAGE,
            Some(Ok(first)) if first <= LARGEST_PAGE => first,
            Some(_) => {
                let message = format!("`first` must be from 0 to {LARGEST_PAGE}.");
                return Err(GraphqlError::new(Code::BadUserInput, message)
                    .of_input(argument("first"))
                    .into());
            }
        };
        let after = position(after)?;
        let caller = caller(context)?;
        let filter = filter.unwrap_or_default().read(&caller.rights);
        let filter = filter.map_err(|problem| of_argument("", &problem))?;
        let selection = selection::<ClientChanges>(context)?;
        let clients = selection
            .below("nodes")
            .flat_map(|change| change.selection.below("client"));
        let load_plan = LoadPlan::of_changes(clients.map(|field| &field.selection).collect())?;
        let feed = context.data::<ChangeFeed>()?;
        let page = feed.page(caller, after.as_ref(), first, &filter).await?;
        let page = page.map_err(refused)?;
        let end = match selection.selects("end") {
            true => Some(feed.end(caller).await?.map_err(refused)?),
            false => None,
        };
        let keys = page.changes.iter().map(|change| &*change.client_key);
        let loaded = LoadedData::around_changes(keys, &load_plan, loaders(context)?, caller).await?;
        let row = ChangesRow {
            page: &page,
            end: end.as_ref(),
            loaded: &loaded,
        };
        RawObject::object(context, row, &selection).map(Some)
    }
}

/// Passes on what changes, over a WebSocket (`graphql-transport-ws`) or as Server-Sent Events (`text/event-stream`).
#[derive(Default)]
pub struct Subscriptions;

/// Passes on what changes, over a WebSocket (`graphql-transport-ws`) or as Server-Sent Events (`text/event-stream`).
#[Subscription(name = "Subscription")]
impl Subscriptions {
    /// Each committed change of a client, once and in the order of the change feed. To continue after an interruption
    /// without a gap, subscribe after the position of the last change that you have. Requires VIEW_CLIENT.
    async fn client_changed(
        &self,
        context: &Context<'_>,
        #[graphql(desc = "Begin with the changes after this position. Without it, only new changes are passed on.")]
        after: Option<String>,
        #[graphql(desc = "Only changes that match; all changes by default.")] filter: Option<ClientChangeFilter>,
    ) -> Result<impl Stream<Item = Result<RawObject<ClientChange>>>> {
        let after = position(after)?;
        let caller = caller(context)?;
        let filter = filter.unwrap_or_default().read(&caller.rights);
        let filter = filter.map_err(|problem| of_argument("", &problem))?;
        let selection = selection::<ClientChange>(context)?;
        // Refuses mistakes in arguments before anything is read.
        load_plan(&selection)?;
        let feed = context.data::<ChangeFeed>()?;
        let budget = start_budget(context, caller).await?;
        let subscription = Box::pin(within(&budget, feed.subscribe(caller, after, filter))).await?;
        drop(budget);
        let subscription = subscription.map_err(refused)?;
        let batches = stream::try_unfold((subscription, selection), async |(mut subscription, selection)| {
            let batch = next_batch(context, &mut subscription, &selection).await?;
            Ok::<_, Error>(Some(((batch, selection.clone()), (subscription, selection))))
        });
        // Each is written when it is passed on, so that the errors of refused fields are those of one event.
        let events = batches.map_ok(move |(batch, selection)| {
            let Batch {
                changes,
                loaded,
                budget,
            } = batch;
            let changes = stream::iter(changes);
            changes.map(move |change| {
                let _charged = &budget;
                RawObject::event(context, (&change, &loaded), &selection)
            })
        });
        // Boxed, because async-graphql keeps room for it twice.
        Ok(events.try_flatten().boxed())
    }
}

/// Changes with the data around them, and the budget that their memory is charged to.
struct Batch {
    changes: Vec<changes::ClientChange>,
    loaded: LoadedData,
    budget: RequestBudget,
}

/// Waits for changes, and loads the data around them. Waits while the memory for answers is used up.
async fn next_batch(
    context: &Context<'_>,
    subscription: &mut ChangeSubscription,
    selection: &Selection,
) -> Result<Batch> {
    let caller = caller(context)?;
    loop {
        subscription.ready().await.map_err(ended)?;
        let budget = start_budget(context, caller).await?;
        // Boxed, here and below, so that a subscription that waits doesn't keep its memory.
        let changes = match Box::pin(within(&budget, subscription.take())).await {
            Ok(taken) => taken.map_err(ended)?,
            Err(Busy) => {
                sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        drop(budget);
        while !changes.is_empty() {
            let budget = start_budget(context, caller).await?;
            let load = Box::pin(load_around(context, caller, &changes, selection));
            match within(&budget, load).await {
                Ok(loaded) => {
                    return Ok(Batch {
                        changes,
                        loaded,
                        budget,
                    });
                }
                Err(error) if is_busy(&error) => sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }
}

async fn load_around(
    context: &Context<'_>,
    caller: &Caller,
    changes: &[changes::ClientChange],
    selection: &Selection,
) -> Result<LoadedData> {
    let keys = changes.iter().map(|change| &*change.client_key);
    LoadedData::around_changes(keys, &load_plan(selection)?, loaders(context)?, caller).await
}

/// Starts the budget of a request for a part of a subscription.
async fn start_budget(context: &Context<'_>, caller: &Caller) -> Result<RequestBudget> {
    let pool = context.data::<BudgetPool>()?;
    loop {
        match pool.start(Priority::Read, caller.flow()) {
            Err(Busy) => sleep(PAUSE).await,
            started => return Ok(started?),
        }
    }
}

async fn within<T, E: From<CoreError>>(
    budget: &RequestBudget,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let done = timeout_at(budget.deadline().at(), budget.clone().scope(work)).await;
    done.unwrap_or_else(|_| Err(TimedOut.into()))
}

fn is_busy(error: &Error) -> bool {
    let source = error.source.as_ref();
    matches!(source.and_then(|source| source.downcast_ref()), Some(Busy))
}

/// The plan of what to load for changes with this selection.
fn load_plan(selection: &Selection) -> Result<LoadPlan<'_>, GraphqlError> {
    let clients = selection.below("client");
    LoadPlan::of_changes(clients.map(|field| &field.selection).collect())
}

fn position(text: Option<String>) -> Result<Option<Position>, GraphqlError> {
    let position = text.map(|text| Position::parse(&text).ok_or(ChangesRefused::Malformed));
    position.transpose().map_err(refused)
}

fn ended(end: SubscriptionEnd) -> GraphqlError {
    let code = match end {
        SubscriptionEnd::Refused(reason) => return refused(reason),
        SubscriptionEnd::TooSlow => Code::TooSlow,
        SubscriptionEnd::Interrupted => Code::Unavailable,
    };
    GraphqlError::new(code, end.to_string())
}

fn argument(name: &str) -> Vec<PathSegment> {
    vec![PathSegment::Field(name.to_owned())]
}

fn refused(refused: ChangesRefused) -> GraphqlError {
    let code = match refused {
        ChangesRefused::Malformed => Code::BadUserInput,
        ChangesRefused::Unknown | ChangesRefused::Expired => Code::Gone,
        ChangesRefused::Distributed => return GraphqlError::new(Code::BadRequest, refused.to_string()),
    };
    GraphqlError::new(code, format!("`after`: {refused}")).of_input(argument("after"))
}

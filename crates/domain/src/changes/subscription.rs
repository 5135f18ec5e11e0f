//! A subscription to the change feed: first the changes after its position, then new ones.

use std::sync::Arc;

use super::{
    ChangeFeed, ChangeFilter, ChangesRefused, ClientChange, Position, SubscriptionEnd,
    live::{LiveChange, LiveQueue, QueueEnd},
};
use crate::caller::Caller;
use clientele_core::error::Result;

/// The changes that are returned together, so that the data around them is loaded together.
const AT_ONCE: u32 = 20;

/// Passes on each change after a position that the caller can see and that passes the filter, once and in order.
#[derive(Debug)]
pub struct ChangeSubscription {
    feed: ChangeFeed,
    caller: Caller,
    filter: ChangeFilter,
    /// The last change that was examined.
    position: Position,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Reads pages of the feed.
    Past,
    /// Has a queue, and reads the pages until it was opened.
    Joining(LiveQueue),
    /// Receives new changes from its queue. The list has those that `take` will return.
    Live(LiveQueue, Vec<Arc<LiveChange>>),
}

impl ChangeFeed {
    /// Begins a subscription. Without a position, it begins after the changes that can be read now.
    ///
    /// # Errors
    /// As for [`page`](Self::page). A position that can't be read from is the first result of the subscription.
    pub async fn subscribe(
        &self,
        caller: &Caller,
        after: Option<Position>,
        filter: ChangeFilter,
    ) -> Result<Result<ChangeSubscription, ChangesRefused>> {
        let position = match after {
            Some(after) => match self.admit(caller)? {
                Ok(()) => after,
                Err(refused) => return Ok(Err(refused)),
            },
            None => match self.end(caller).await? {
                Ok(end) => end,
                Err(refused) => return Ok(Err(refused)),
            },
        };
        Ok(Ok(ChangeSubscription {
            feed: self.clone(),
            caller: caller.clone(),
            filter,
            position,
            stage: Stage::Past,
        }))
    }
}

impl ChangeSubscription {
    /// Waits until [`take`](Self::take) can have a result. Reads nothing.
    ///
    /// # Errors
    /// The subscription has ended.
    pub async fn ready(&mut self) -> Result<(), SubscriptionEnd> {
        let Stage::Live(queue, received) = &mut self.stage else {
            return Ok(());
        };
        if !received.is_empty() {
            return Ok(());
        }
        match queue.receive(received, AT_ONCE as usize).await {
            Err(QueueEnd::Overtaken) => {
                self.stage = Stage::Past;
                Ok(())
            }
            Err(QueueEnd::Subscription(end)) => Err(end),
            Ok(()) => Ok(()),
        }
    }

    /// Returns the next changes. There can be none: changes were examined that the caller can't see or that don't pass
    /// the filter.
    ///
    /// # Errors
    /// The inner error is the end of the subscription.
    pub async fn take(&mut self) -> Result<Result<Vec<ClientChange>, SubscriptionEnd>> {
        if let Stage::Live(_, received) = &mut self.stage {
            let received = std::mem::take(received);
            return Ok(Ok(self.shown(&received)));
        }
        let page = self
            .feed
            .page(&self.caller, Some(&self.position), AT_ONCE, &self.filter)
            .await?;
        let page = match page {
            Ok(page) => page,
            Err(refused) => return Ok(Err(refused.into())),
        };
        self.position = page.position;
        if !page.has_more {
            let stage = std::mem::replace(&mut self.stage, Stage::Past);
            self.stage = match stage {
                Stage::Joining(queue) => Stage::Live(queue, Vec::new()),
                Stage::Past | Stage::Live(..) => {
                    let live = &self.feed.live;
                    Stage::Joining(live.receive(&self.feed, &self.filter, &self.caller.rights).await?)
                }
            };
        }
        Ok(Ok(page.changes))
    }

    /// Received changes as the caller sees them, without those that a page had before.
    fn shown(&mut self, received: &[Arc<LiveChange>]) -> Vec<ClientChange> {
        let mut changes = Vec::new();
        for LiveChange { stored, definitions } in received.iter().map(AsRef::as_ref) {
            if self.position.is_before(&stored.position) {
                self.position = stored.position.clone();
                changes.extend(ClientChange::of(
                    stored,
                    &self.caller.rights,
                    &**definitions,
                    &self.filter,
                ));
            }
        }
        changes
    }
}

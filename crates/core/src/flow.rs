//! The parties that share resources.

use std::{net::IpAddr, sync::Arc};

use crate::{fair_queue::FairQueue, network::Network};

/// The party that a piece of work is charged to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Flow {
    /// An authenticated caller, by kind and key.
    Caller(&'static str, Arc<str>),
    /// The unauthenticated callers of one network.
    Network(IpAddr),
    /// The server itself.
    Internal,
}

/// A queue in which callers have equal shares.
pub type FlowQueue = FairQueue<Flow>;

impl Flow {
    /// The flow of an unauthenticated caller.
    pub fn of_address(address: IpAddr) -> Self {
        Self::Network(Network::of_one_caller(address))
    }
}

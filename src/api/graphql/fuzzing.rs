//! Properties of any input, for fuzz targets.

use std::sync::OnceLock;

use async_graphql::Variables;
use futures_util::FutureExt;
use graphql_server::{GraphqlServer, RequestContext};

use super::{Mutations, Queries, Subscriptions, server};

pub use graphql_server::fuzzing::{manifest, request, socket_message};

struct FuzzContext;

impl RequestContext for FuzzContext {
    fn request_id(&self) -> &str {
        ""
    }

    fn is_authenticated(&self) -> bool {
        true
    }
}

/// A document is read, checked and prepared without a panic, and with the same result from the cache. After its first
/// U+0000 come the variables as JSON.
///
/// # Panics
/// When it doesn't hold.
pub fn document(text: &str) {
    static SERVER: OnceLock<GraphqlServer<Queries, Mutations, Subscriptions>> = OnceLock::new();
    let server = SERVER.get_or_init(|| server(super::schema));
    let (query, variables) = text.split_once('\0').unwrap_or((text, "{}"));
    let variables: Variables = serde_json::from_str(variables).unwrap_or_default();
    let [first, second] = [(), ()].map(|()| {
        let preparing = server.prepare(query, None, variables.clone(), &FuzzContext);
        let prepared = preparing.now_or_never().expect("preparing waits for nothing");
        prepared.map(|prepared| prepared.is_mutation())
    });
    assert_eq!(first, second);
}

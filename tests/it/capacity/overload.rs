//! One caller who constantly sends more than the server can handle.

use super::{Load, exchange, on};
use crate::harness::Backend;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standing_queue_is_shed_and_other_callers_are_answered() {
    on(Backend::Sqlite, async |prepared| {
        let crowd = prepared.token("crowd", "VIEW_CLIENT");
        let other = prepared.token("other", "VIEW_CLIENT");
        let server = prepared.serve();
        let load = Load::begin(server.address, 400, crowd.get("/api/clients?limit=1")).await;
        // A burst is served. What comes after it is shed.
        load.answered(4_000).await;
        for _ in 0..10 {
            assert!(exchange(server.address, &other.list()).await.is_good());
        }
        let answers = load.end().await;
        let (served, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert!(served.len() > 500, "{} served, {} refused", served.len(), refused.len());
        assert!(
            refused.len() > 500,
            "{} served, {} refused",
            served.len(),
            refused.len()
        );
        assert!(refused.iter().all(|answer| answer.status == 503), "{:?}", refused[0]);
    })
    .await;
}

//! Subscriptions without a transport: each change once and in order, for any writers and beginnings.

use std::{
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use clientele::{
    caller::Caller,
    changes::{ChangeFilter, ChangeSubscription, Position},
};
use serde_json::json;
use tokio::{sync::watch, time::timeout};

use crate::harness::{
    TestServer,
    graphql::{store, store_key},
};

on_both!(
    subscriptions_pass_on_each_change_once_and_in_order,
    subscription_that_is_overtaken_reads_the_feed,
);

/// A change that doesn't come in this time is lost.
const PATIENCE: Duration = Duration::from_secs(60);

const WRITERS: usize = 8;
const CHANGES: usize = 25;

async fn change(server: &TestServer, key: &str, notes: &str) {
    let input = json!({ "client": { "encodedKey": key, "notes": notes } });
    store(server, input, "version").await;
}

async fn create(server: &TestServer, id: &str) -> String {
    let client = json!({ "clientId": id, "firstName": "Amara", "lastName": "Diaz" });
    store_key(server, json!({ "client": client })).await
}

async fn subscribe(server: &TestServer, after: Option<Position>, filter: ChangeFilter) -> ChangeSubscription {
    let begun = server
        .services
        .changes
        .subscribe(&Caller::operator(), after, filter)
        .await;
    begun.expect("the database answers").expect("a subscription")
}

/// The positions, keys and versions of the changes until one of this client.
async fn until(mut subscription: ChangeSubscription, last: String) -> Vec<(String, String, i64)> {
    let mut found = Vec::new();
    loop {
        let ready = timeout(PATIENCE, subscription.ready()).await;
        ready.expect("a change comes").expect("it goes on");
        let changes = subscription
            .take()
            .await
            .expect("the database answers")
            .expect("it goes on");
        for change in changes {
            if change.client_key == last {
                return found;
            }
            found.push((change.position.to_string(), change.client_key, change.version));
        }
    }
}

async fn subscriptions_pass_on_each_change_once_and_in_order(server: &TestServer) {
    let other = server.another(Default::default()).await;
    let last = create(server, "last").await;
    let mut keys = Vec::new();
    for number in 0..4 {
        keys.push(create(server, &format!("c{number}")).await);
    }
    server.wait_for_changes().await;
    let end = server.services.changes.end(&Caller::operator()).await;
    let begin = end.expect("the database answers").expect("a position");
    let (count, written) = (AtomicUsize::new(0), watch::Sender::new(0));
    let writing = async {
        let writers = (0..WRITERS).map(|writer| {
            let server = if writer % 2 == 0 { server } else { &other };
            let (keys, count, written) = (&keys, &count, &written);
            async move {
                for round in 0..CHANGES {
                    change(
                        server,
                        &keys[(writer + round) % keys.len()],
                        &format!("{writer}.{round}"),
                    )
                    .await;
                    written.send_replace(count.fetch_add(1, Relaxed) + 1);
                }
            }
        });
        futures_util::future::join_all(writers).await;
        change(server, &last, "end").await;
    };
    // Each reads twice: from the beginning, and once some changes have been made. Half of them use the other server.
    let reading = (0..16).map(|reader| {
        let (server, begin, last) = (
            if reader % 2 == 0 { server } else { &other },
            begin.clone(),
            last.clone(),
        );
        let mut written = written.subscribe();
        async move {
            let before = subscribe(server, Some(begin.clone()), ChangeFilter::default()).await;
            let late = async {
                let some = |written: &usize| *written > reader * WRITERS * CHANGES / 20;
                written.wait_for(some).await.expect("the writers go on");
                let new = subscribe(server, None, ChangeFilter::default()).await;
                let narrow = ChangeFilter {
                    clients: Some([last.clone()].into()),
                    ..ChangeFilter::default()
                };
                let only = async {
                    let found = until(subscribe(server, Some(begin), narrow).await, last.clone()).await;
                    assert_eq!(found, []);
                };
                tokio::join!(until(new, last.clone()), only).0
            };
            tokio::join!(until(before, last.clone()), late)
        }
    });
    let (all, ()) = tokio::join!(futures_util::future::join_all(reading), writing);
    let mut expected = super::super::changes::all_after(server, &begin.to_string(), 100).await;
    expected.retain(|(key, _)| *key != last);
    assert_eq!(expected.len(), WRITERS * CHANGES);
    let late: Vec<usize> = all.iter().map(|(_, late)| late.len()).collect();
    assert!(
        late.iter().any(|count| *count > 0 && *count < expected.len()),
        "{late:?}"
    );
    for (early, late) in all {
        let seen: Vec<_> = early.iter().map(|(_, key, version)| (key.clone(), *version)).collect();
        assert_eq!(seen, expected);
        let begin = early.len() - late.len();
        assert_eq!(late, early[begin..], "one that begins later misses none");
    }
}

async fn subscription_that_is_overtaken_reads_the_feed(server: &TestServer) {
    let (key, last) = (create(server, "a").await, create(server, "last").await);
    server.wait_for_changes().await;
    let end = server.services.changes.end(&Caller::operator()).await;
    let begin = end.expect("the database answers").expect("a position");
    let mut slow = subscribe(server, None, ChangeFilter::default()).await;
    // Two empty pages, after which it waits for new changes.
    for _ in 0..2 {
        slow.ready().await.expect("it begins");
        assert_eq!(slow.take().await.expect("the database answers"), Ok(Vec::new()));
    }
    let many = format!(
        "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1100) INSERT INTO audit_record \
         (chain, position, recorded_at, caller_kind, caller_id, caller_name, door, request_id, subject, subject_key, \
         action, contents, salt, digest, hmac, key_id) SELECT chain, position + n, recorded_at, caller_kind, \
         caller_id, \
         caller_name, door, request_id, subject, subject_key, 'CHANGED', '[]', salt, digest, hmac, key_id \
         FROM audit_record CROSS JOIN n WHERE chain = '{key}' AND position = 1 ORDER BY n"
    );
    server.write(&many).await.expect("written");
    change(server, &last, "end").await;
    // Another one has received the last change: the queue of the slow one was full before.
    let narrow = ChangeFilter {
        clients: Some([last.clone()].into()),
        ..ChangeFilter::default()
    };
    let mut quick = subscribe(server, Some(begin), narrow).await;
    while timeout(PATIENCE, quick.ready()).await.is_ok() {
        if !quick
            .take()
            .await
            .expect("the database answers")
            .expect("it goes on")
            .is_empty()
        {
            break;
        }
    }
    let versions: Vec<i64> = until(slow, last)
        .await
        .into_iter()
        .map(|(_, _, version)| version)
        .collect();
    assert_eq!(versions, Vec::from_iter(2..=1_101));
}

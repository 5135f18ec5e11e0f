//! The order of the feed while transactions commit in another order than they began.

use serde_json::json;

use super::{all_after, create, end, kinds, present_end, present_page};
use crate::harness::{HeldLock, TestServer, graphql::store};

on_both!(concurrent_writers_of_two_servers_lose_nothing);
on_postgres!(
    nothing_is_served_beyond_a_running_transaction,
    early_transaction_does_not_come_before_the_version_it_continues,
    moved_database_continues_after_its_changes,
);

async fn change(server: &TestServer, key: &str, notes: &str) {
    store(
        server,
        json!({ "client": { "encodedKey": key, "notes": notes } }),
        "version",
    )
    .await;
}

async fn nothing_is_served_beyond_a_running_transaction(server: &TestServer) {
    let [slow, fast] = [create(server, "slow").await, create(server, "fast").await];
    let begin = end(server).await;
    let late = "UPDATE client SET notes = 'late' WHERE encoded_key = '{key}'".replace("{key}", &slow);
    let record = next_record(&slow);
    let held = HeldLock::of_client(&slow, [late, record]);
    let while_held = async {
        held.is_held().await;
        change(server, &fast, "1").await;
        // It is committed and visible, but a change with a lesser id is still to come.
        let row = server
            .services
            .db
            .read()
            .one("SELECT notes FROM client WHERE client_id = 'fast'", [])
            .await;
        let notes: String = row.expect("a row").expect("a row").try_get_by_index(0).expect("a text");
        assert_eq!(notes, "1");
        let empty = present_page(server, json!({ "after": begin })).await;
        assert_eq!((kinds(&empty), &empty["hasMore"]), (vec![], &json!(false)));
        assert_eq!(
            (empty["position"].as_str(), present_end(server).await),
            (Some(&*begin), begin.clone())
        );
        held.release();
    };
    tokio::join!(held.hold(server), while_held);
    assert_eq!(all_after(server, &begin, 10).await, [(slow, 2), (fast, 2)]);
}

/// Adds the next record of a client's chain, without a valid HMAC.
fn next_record(key: &str) -> String {
    format!(
        "INSERT INTO audit_record (chain, position, recorded_at, caller_kind, caller_id, caller_name, door, request_id, \
         subject, subject_key, action, contents, salt, digest, hmac, key_id) SELECT chain, position + 1, recorded_at, \
         caller_kind, caller_id, caller_name, door, request_id, subject, subject_key, 'CHANGED', '[]', salt, digest, \
         hmac, key_id FROM audit_record WHERE chain = '{key}' ORDER BY position DESC LIMIT 1"
    )
}

/// A transaction can have its id before it waits for the client.
async fn early_transaction_does_not_come_before_the_version_it_continues(server: &TestServer) {
    let [key, other] = [create(server, "a").await, create(server, "b").await];
    let begin = end(server).await;
    let held = HeldLock::of_client(&other, [next_record(&key)]);
    let while_held = async {
        held.is_held().await;
        change(server, &key, "1").await;
        held.release();
    };
    tokio::join!(held.hold(server), while_held);
    let ordinals = "SELECT count(DISTINCT ordinal) FROM client_change WHERE client_key = '{key}' AND position > 1";
    let row = server.services.db.read().one(ordinals.replace("{key}", &key), []).await;
    let ordinals: i64 = row
        .expect("a row")
        .expect("a row")
        .try_get_by_index(0)
        .expect("a number");
    assert_eq!(ordinals, 1, "the later version takes the ordinal of the earlier one");
    assert_eq!(all_after(server, &begin, 1).await, [(key.clone(), 2), (key, 3)]);
}

/// A dump that is restored in a cluster with lesser ids of transactions.
async fn moved_database_continues_after_its_changes(server: &TestServer) {
    let key = create(server, "a").await;
    server
        .write("UPDATE client_change SET ordinal = ordinal + 1000000")
        .await
        .expect("written");
    // Its transactions seem to be still to come.
    assert_eq!(present_end(server).await, "0.0.");
    server.services.changes.start().await.expect("it is prepared");
    let moved = end(server).await;
    assert_ne!(moved, "0.0.");
    change(server, &key, "1").await;
    assert_eq!(all_after(server, &moved, 10).await, [(key, 2)]);
    let shift = async || {
        let row = server.services.db.read().one("SELECT shift FROM change_feed", []).await;
        row.expect("a row")
            .expect("a row")
            .try_get_by_index::<i64>(0)
            .expect("a number")
    };
    let before = shift().await;
    server.services.changes.start().await.expect("it is prepared");
    assert_eq!(shift().await, before, "further starts change nothing");
}

async fn concurrent_writers_of_two_servers_lose_nothing(server: &TestServer) {
    let other = server.another(Default::default()).await;
    let mut keys = Vec::new();
    for number in 0..4 {
        keys.push(create(server, &format!("c{number}")).await);
    }
    let begin = end(server).await;
    let writers = (0..8).map(|writer| {
        let server = if writer % 2 == 0 { server } else { &other };
        let key = &keys[writer % 4];
        async move {
            for number in 0..12 {
                change(server, key, &format!("{writer} {number}")).await;
            }
        }
    });
    let done = tokio::sync::watch::Sender::new(false);
    let reading = async {
        let (mut read, mut after, mut ended) = (Vec::new(), begin.clone(), false);
        loop {
            let found = present_page(&other, json!({ "after": after, "first": 3 })).await;
            read.extend(found["nodes"].as_array().expect("a list").clone());
            after = found["position"].as_str().expect("a position").to_owned();
            if found["hasMore"] == false {
                if ended {
                    break read;
                }
                ended = *done.borrow();
            }
        }
    };
    let writing = async {
        futures_util::future::join_all(writers).await;
        server.wait_for_changes().await;
        done.send_replace(true);
    };
    let (read, ()) = tokio::join!(reading, writing);
    for key in &keys {
        let of_client = read.iter().filter(|node| node["clientKey"] == **key);
        let versions: Vec<i64> = of_client
            .map(|node| node["version"].as_i64().expect("a number"))
            .collect();
        assert_eq!(versions, (2..=25).collect::<Vec<_>>());
    }
    assert_eq!(read.len(), 96);
    other.stop().await;
}

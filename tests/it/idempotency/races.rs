//! The same request many times at once, on two servers, and requests with an unknown outcome.

use std::time::{Duration, Instant};

use clientele::{
    db::{Step, Transaction, Work},
    error::Result,
};
use futures_util::{StreamExt, future::join_all, stream};
use serde_json::json;
use tokio::sync::Notify;

use super::{CLIENTS, counts, ines, post, upsert, welcome};
use crate::harness::{Answer, Settings, TestServer};

/// Holds the slot of a key until released, and leaves it empty.
struct Holding<'a> {
    key: &'a str,
    held: &'a Notify,
    let_go: &'a Notify,
}

impl Work for Holding<'_> {
    type Output = ();

    async fn attempt(&self, transaction: &Transaction) -> Result<Step<()>> {
        let sql = format!(
            "INSERT INTO idempotency_record (caller, key, fingerprint, expires_at) \
             VALUES ('ANYONE:anyone', '{}', '', '2000-01-01T00:00:00.000000Z')",
            self.key
        );
        transaction.run(sql, []).await?;
        self.held.notify_one();
        self.let_go.notified().await;
        Ok(Step::Discard(()))
    }
}

fn all_alike(answers: &[Answer]) {
    assert_eq!((answers[0].status, answers.len()), (200, 100), "{}", answers[0].text);
    for answer in answers {
        assert_eq!((answer.status, &answer.text), (200, &answers[0].text));
    }
}

on_both!(
    hundred_identical_requests_create_one_client,
    one_of_different_requests_under_one_key_is_executed,
    waiting_for_a_running_request_is_bounded,
    disconnected_caller_can_fetch_the_answer_later,
);

async fn hundred_identical_requests_create_one_client(server: &TestServer) {
    welcome(server).await;
    let other = server.another(Settings::default()).await;
    let servers = [server, &other];
    let (body, input) = (ines(), ines());
    let rest = (0..100).map(|number| post(servers[number % 2], CLIENTS, "rest", &body));
    all_alike(&stream::iter(rest).buffer_unordered(64).collect::<Vec<_>>().await);
    assert_eq!(counts(server).await, [1, 1, 1]);
    let graphql = (0..100).map(|number| upsert(servers[number % 2], "graphql", &input));
    all_alike(&stream::iter(graphql).buffer_unordered(64).collect::<Vec<_>>().await);
    assert_eq!(counts(server).await, [2, 2, 2]);
    other.stop().await;
}

async fn one_of_different_requests_under_one_key_is_executed(server: &TestServer) {
    let bodies: Vec<_> = (0..20)
        .map(|number| json!({ "client": { "firstName": "Ines", "lastName": format!("{number}") } }))
        .collect();
    let mut statuses: Vec<u16> = join_all(bodies.iter().map(|body| post(server, CLIENTS, "order-7319", body)))
        .await
        .iter()
        .map(|it| it.status)
        .collect();
    statuses.sort_unstable();
    assert_eq!((statuses[0], &statuses[1..]), (200, &[422; 19][..]));
    assert_eq!(counts(server).await, [1, 0, 1]);
}

async fn waiting_for_a_running_request_is_bounded(server: &TestServer) {
    // Of one server's writers on SQLite, only one gets as far as to wait for another process.
    let others = [
        server.another(Settings::default()).await,
        server.another(Settings::default()).await,
    ];
    let (held, let_go) = (Notify::new(), Notify::new());
    let holding = Holding {
        key: "order-7319",
        held: &held,
        let_go: &let_go,
    };
    let waiting = async {
        held.notified().await;
        let begun = Instant::now();
        let body = ines();
        // The last waits for the one writer of its own server, where there is only one.
        let (rest, graphql, own) = tokio::join!(
            post(&others[0], CLIENTS, "order-7319", &body),
            upsert(&others[1], "order-7319", &body),
            upsert(server, "order-7319", &body)
        );
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        rest.is(
            409,
            json!({ "returnCode": 4, "returnStatus": "INVALID_PARAMETERS", "errorSource": "concurrent update, retry" }),
        );
        for graphql in [graphql, own] {
            assert_eq!(
                graphql.body["errors"][0]["extensions"]["code"], "CONFLICT",
                "{}",
                graphql.text
            );
        }
        // One more request, which waits or is about to wait when the slot is released.
        let (rest, ()) = tokio::join!(post(&others[0], CLIENTS, "order-7319", &body), async {
            let_go.notify_one()
        });
        assert_eq!(rest.status, 200, "{}", rest.text);
    };
    let (end, ()) = tokio::join!(server.services.db.write(&holding), waiting);
    end.expect("no other transaction holds it");
    assert_eq!(counts(server).await, [1, 0, 1]);
    for other in others {
        other.stop().await;
    }
}

async fn disconnected_caller_can_fetch_the_answer_later(server: &TestServer) {
    welcome(server).await;
    let body = ines();
    for round in 0..40_u64 {
        let key = format!("round {round}");
        // The connection closes at another moment each time: before, within and after the write.
        let patience = Duration::from_micros(round * 250);
        let first = tokio::time::timeout(patience, post(server, CLIENTS, &key, &body)).await;
        let again = post(server, CLIENTS, &key, &body).await;
        assert_eq!(again.status, 200, "{}", again.text);
        if let Ok(first) = first {
            assert_eq!(first.text, again.text);
        }
    }
    assert_eq!(counts(server).await, [40, 40, 40]);
}

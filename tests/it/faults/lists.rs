//! Lists of clients while the connection to PostgreSQL is cut at each message: every result says what is true.

use serde_json::{Value, json};

use super::{
    NO_WORKER, SHORT_LOG, count,
    operation::Caller,
    proxy::{Cut, Proxy},
};
use crate::harness::{TestServer, program::Server};

/// More messages than the list sends.
const MOST_MESSAGES: i32 = 300;

on_postgres!(results_of_a_list_are_true_whenever_the_connection_ends);

async fn results_of_a_list_are_true_whenever_the_connection_ends(server: &TestServer) {
    let url = server.database_url();
    let (proxy, through) = Proxy::start(&url, Cut::After);
    let process = Server::open(&[("DATABASE_URL", &*through), NO_WORKER, SHORT_LOG]);
    let caller = Caller::of(&process.address);
    let (mut unknown, mut refused) = (0, 0);
    for messages in 0..MOST_MESSAGES {
        let client =
            |n: usize| json!({ "client": { "firstName": format!("F{n}"), "lastName": format!("L{messages}") } });
        let input = json!({ "clients": [client(0), client(1), client(2)] });
        proxy.arm(messages);
        let (status, answer) = caller.upsert_clients(input).await.expect("it is answered");
        let was_cut = proxy.disarm();
        let stored = format!("SELECT count(*) FROM client WHERE last_name = 'L{messages}'");
        let stored = count(&server.services.db, &stored).await;
        let results = answer["data"]["upsertClients"]["results"].as_array();
        let Some(results) = results else {
            // Nothing was stored, and sending the list again is safe.
            assert_eq!(
                (stored, &answer["errors"][0]["extensions"]["code"]),
                (0, &json!("UNAVAILABLE")),
                "{answer}"
            );
            refused += 1;
            assert!(was_cut, "{status} {answer}");
            continue;
        };
        let codes: Vec<Option<&str>> = results
            .iter()
            .map(|result| result["userErrors"][0]["code"].as_str())
            .collect();
        match codes[..] {
            [None, None, None] => assert_eq!(stored, 3, "{answer}"),
            [
                Some("OUTCOME_UNKNOWN"),
                Some("OUTCOME_UNKNOWN"),
                Some("OUTCOME_UNKNOWN"),
            ] => {
                unknown += 1;
                assert_eq!(results[0]["client"], Value::Null);
            }
            _ => panic!("{answer}"),
        }
        if !was_cut {
            assert!(unknown > 0 && refused > 0, "{unknown} {refused}");
            return;
        }
    }
    panic!("the list never ends");
}

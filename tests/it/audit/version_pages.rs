//! The pages of records that `clientAt` reads, and the memory that they take.

use clientele::{api, budget::AnswerSettings};
use serde_json::json;

use super::{
    long::{add_records, quarter_mib},
    versions::at,
};
use crate::harness::{Settings, TestServer, graphql::store_key};

const MIB: usize = 1 << 20;

on_both!(
    versions_are_read_in_pages_of_500_records,
    pages_of_large_records_are_smaller_and_take_memory_one_by_one,
);

/// The number of pages that were read since the last call.
fn pages(server: &TestServer) -> usize {
    let statements = server.statements();
    let pages = statements.iter().filter(|sql| sql.contains("ORDER BY a.position"));
    pages.count()
}

async fn versions_are_read_in_pages_of_500_records(server: &TestServer) {
    let key = store_key(server, json!({ "client": { "firstName": "F", "lastName": "L" } })).await;
    add_records(server, &key, 2_001, "").await;
    // Forward from the creation, and back from the stored client, with the record of the version.
    for (version, expected) in [
        (500, 1),
        (501, 2),
        (1_000, 2),
        (1_001, 3),
        (1_002, 3),
        (1_003, 2),
        (2_002, 1),
    ] {
        pages(server);
        let found = at(server, &key, version, "version").await;
        assert_eq!(found["data"]["clientAt"]["version"], version, "{found:#}");
        assert_eq!(pages(server), expected, "{version}");
    }
}

async fn pages_of_large_records_are_smaller_and_take_memory_one_by_one(server: &TestServer) {
    let key = store_key(server, json!({ "client": { "firstName": "F", "lastName": "L" } })).await;
    // 100 of the 101 records up to the version have 256 KiB each.
    let large = quarter_mib(server.backend);
    let filling = format!("CASE WHEN n.p <= 101 THEN {large} ELSE 'y' END");
    add_records(server, &key, 201, &filling).await;
    let bounded = async |bytes: usize| {
        let answers = AnswerSettings {
            bytes,
            bytes_together: 64 * MIB,
        };
        let doors = api::Settings {
            answers,
            ..api::Settings::default()
        };
        let settings = Settings {
            doors,
            ..Settings::default()
        };
        server.another(settings).await
    };
    // Together they have 25 MiB. Pages of 101 and 50 are too large for 8 MiB, and a page that fits doubles the next.
    let small = bounded(16 * MIB).await;
    pages(&small);
    let found = at(&small, &key, 101, "version").await;
    assert_eq!(found["data"]["clientAt"]["version"], 101, "{found:.300}");
    assert_eq!(pages(&small), ["101", "50", "25", "50", "25", "50", "25", "26"].len());
    // A page of 25 has more than 4 MiB.
    let tiny = bounded(4 * MIB).await;
    let refused = at(&tiny, &key, 101, "version").await;
    assert_eq!(
        refused["errors"][0]["extensions"]["code"], "QUERY_TOO_COMPLEX",
        "{refused:.300}"
    );
}

//! The check of replicas.

use super::examine;
use crate::{harness::program, replicas::cluster::Replicated};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_replica_is_compared_with_the_primary() {
    let Some(Replicated { primary, replicas, .. }) = &Replicated::start(1).await else {
        return;
    };
    let database = ("DATABASE_URL", &*primary.url);
    let (_, log, code) = program::run(&["migrate"], &[database]);
    assert_eq!(code, Some(0), "{log}");
    replicas[0].follows(primary).await;
    let away = primary.url.replace(&*primary.socket.display().to_string(), "/nowhere");
    let examine = |replica: &str| {
        let urls = serde_json::to_string(&[replica]).expect("JSON");
        examine(&[], &[database, ("CLIENTELE_DATABASE__REPLICA_URLS", &urls)])
    };
    let (link, host) = ("See docs/operations.md#read-replicas", "the replica localhost:5432");
    examine(&replicas[0].url).says(
        "replicas",
        &format!("OK       replicas: {host} can serve reads. {link}"),
    );
    for (url, problem) in [
        (&primary.url, "it isn't a standby"),
        (&away, "it can't be reached: its socket does not exist"),
    ] {
        examine(url).says(
            "replicas",
            &format!(
                "WARNING  replicas: {host} can't serve reads: {problem}. Correct database.replica_urls or the replica. \
                 Meanwhile, the primary serves its reads. {link}"
            ),
        );
    }
}

//! Requests about one session at the same time.

use std::iter::repeat_n;

use clientele::caller::Permission;
use futures_util::future::join_all;
use serde_json::json;

use super::{
    Tokens, UPSERT, ask_to_refresh,
    lifetimes::{ana, begin},
    refresh, sign_in, status, user,
};
use crate::{
    harness::{Settings, TestServer},
    sign_in::credentials::now,
};

on_both!(
    one_of_concurrent_refreshes_succeeds,
    refresh_never_survives_the_end_of_the_session,
    concurrent_sign_ins_keep_to_the_limit_of_sessions,
);

async fn one_of_concurrent_refreshes_succeeds(server: &TestServer) {
    let servers = [
        server.another(Settings::signed_in()).await,
        server.another(Settings::signed_in()).await,
    ];
    user(server, "ana", &[]).await;
    let mut tokens = sign_in(&servers[0], "ana").await;
    for _ in 0..5 {
        let asked = servers.iter().flat_map(|server| repeat_n(server, 4));
        let answers = join_all(asked.map(|server| ask_to_refresh(server, &tokens.refresh))).await;
        let mut renewed: Vec<Tokens> = answers
            .iter()
            .filter_map(|answer| Tokens::of(answer, "refreshSession"))
            .collect();
        let replaced = answers.iter().filter(|answer| answer.text.contains("TOKEN_REPLACED"));
        assert_eq!((renewed.len(), replaced.count()), (1, 7));
        tokens = renewed.remove(0);
        assert_eq!(status(&servers[1], &tokens).await, 200);
    }
    refresh(&servers[0], &tokens.refresh).await;
    for server in servers {
        server.stop().await;
    }
}

async fn concurrent_sign_ins_keep_to_the_limit_of_sessions(server: &TestServer) {
    let caller = ana(server).await;
    for _ in 0..98 {
        begin(server, &caller, now()).await;
    }
    join_all((0..8).map(|_| begin(server, &caller, now()))).await;
    assert_eq!(server.snapshot().await.rows("session").len(), 100);
}

async fn refresh_never_survives_the_end_of_the_session(server: &TestServer) {
    let strict = server.another(Settings::signed_in()).await;
    user(server, "boss", &Permission::ALL).await;
    for round in 0..8 {
        let name = format!("user{round}");
        user(server, &name, &[]).await;
        let (one, other) = (sign_in(&strict, &name).await, sign_in(&strict, &name).await);
        let input = match round % 2 {
            0 => json!({ "name": name, "active": false }),
            _ => json!({ "name": name, "password": "another good one" }),
        };
        let end = server.graphql(UPSERT, json!({ "input": input }));
        let out = "mutation { signOut(input: { everywhere: true }) { endedSessions } }";
        let bearer = strict.as_bearer(&*other.access);
        let (refreshed, ended, out) = tokio::join!(
            ask_to_refresh(&strict, &one.refresh),
            end,
            bearer.graphql(out, json!({})),
        );
        assert!(ended.text.contains("\"userErrors\":[]"), "{}", ended.text);
        assert!([200, 401].contains(&out.status), "{}", out.text);
        if let Some(tokens) = Tokens::of(&refreshed, "refreshSession") {
            assert_eq!(status(&strict, &tokens).await, 401, "round {round}");
        }
        assert_eq!(server.snapshot().await.rows("session"), [""; 0], "round {round}");
    }
    strict.stop().await;
}

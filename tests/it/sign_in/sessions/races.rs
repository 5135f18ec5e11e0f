//! Requests about one session at the same time.

use std::{iter::repeat_n, sync::Arc, time::Duration};

use clientele::{
    access::Accounts,
    caller::{Permission, Rights},
    db::{Database, DatabaseSettings},
    server::HttpSettings,
    services::{ServiceSettings, Services},
};
use futures_util::future::join_all;
use serde_json::json;

use super::{
    Tokens, UPSERT, ask_to_refresh,
    lifetimes::{SETTINGS, ana, begin},
    refresh, sign_in, status, user,
};
use crate::{
    faults::proxy::{Cut, Proxy},
    harness::{HeldLock, Settings, TestServer},
    sign_in::credentials::now,
};

on_both!(
    one_of_concurrent_refreshes_succeeds,
    refresh_never_survives_the_end_of_the_session,
    concurrent_sign_ins_keep_to_the_limit_of_sessions,
);

on_postgres!(
    access_token_is_read_again_after_a_refresh_of_unknown_outcome,
    session_that_begins_holds_a_request_permit,
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

/// Returns true if an access token counts as valid, by an account that was read within an hour.
async fn is_valid(accounts: &Accounts, access: &str) -> bool {
    let found = accounts.token(access, Duration::from_secs(3_600), now(), || Ok(()));
    found.await.expect("the database answers").is_some()
}

async fn access_token_is_read_again_after_a_refresh_of_unknown_outcome(server: &TestServer) {
    let caller = ana(server).await;
    let (proxy, through) = Proxy::start(&server.database_url(), Cut::After);
    let db = Database::connect(&through, &DatabaseSettings::default()).await;
    let accounts = Services::new(db.expect("it is there"), ServiceSettings::default()).accounts;
    let mut was_unknown = false;
    // The database can notice the end of a connection before it reads the COMMIT: then the next round cuts there again.
    for _ in 0..20 {
        if was_unknown {
            break;
        }
        for messages in 0.. {
            let tokens = begin(server, &caller, now()).await;
            assert!(is_valid(&accounts, &tokens.access).await);
            proxy.arm(messages);
            let refreshed = accounts
                .refresh_session(&tokens.refresh, &SETTINGS, &Arc::from(""), now())
                .await;
            let was_cut = proxy.disarm();
            // Waits for the end of the transaction.
            let locking = "UPDATE session SET created_at = created_at";
            server.write(locking).await.expect("written");
            let is_stored = is_valid(&server.services.accounts, &tokens.access).await;
            assert_eq!(is_valid(&accounts, &tokens.access).await, is_stored, "{messages}");
            was_unknown |= refreshed.is_err() && !is_stored;
            if !was_cut {
                break;
            }
        }
    }
    assert!(was_unknown, "no COMMIT was cut in any round");
}

async fn session_that_begins_holds_a_request_permit(server: &TestServer) {
    let http = HttpSettings {
        requests: 1,
        queue: 0,
        ..HttpSettings::default()
    };
    let narrow = server
        .another(Settings {
            http,
            ..Settings::signed_in()
        })
        .await;
    user(server, "ana", &[]).await;
    let token = server.token(&Rights::of([Permission::ViewClient])).await;
    // The lock of all changes of users.
    let held = HeldLock::of_number(0x7573_6572);
    let meanwhile = async {
        held.is_held().await;
        let another = async {
            held.is_waited_for(server).await;
            let status = narrow.as_bearer(&token).get("/api/clients").await.status;
            held.release();
            status
        };
        tokio::join!(sign_in(&narrow, "ana"), another).1
    };
    let ((), status) = tokio::join!(held.hold(server), meanwhile);
    assert_eq!(status, 503);
    assert_eq!(narrow.as_bearer(&token).get("/api/clients").await.status, 200);
    narrow.stop().await;
}

//! The lifetimes of tokens and sessions. The test sets the time.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use clientele::{
    access::{RefreshError, SessionSettings},
    caller::{Api, Caller},
    expiry::{keep_removing, remove_expired_sessions},
};
use tokio::sync::watch;

use super::{Tokens, user};
use crate::{harness::TestServer, sign_in::credentials::now};

pub(super) const SETTINGS: SessionSettings = SessionSettings {
    access_token_seconds: 900,
    idle_seconds: 3_600,
    lifetime_seconds: 7_200,
};
const MOMENT: TimeDelta = TimeDelta::microseconds(1);

/// The user, as signed in with the password.
pub(super) async fn ana(server: &TestServer) -> Caller {
    user(server, "ana", &[]).await;
    let accounts = &server.services.accounts;
    let here = std::net::Ipv4Addr::LOCALHOST.into();
    let attempt = accounts.attempt("ana", super::PASSWORD, here);
    let free = || Ok(clientele::caller::throttle::Charge::default());
    let account = accounts
        .verify(attempt, Duration::ZERO, free)
        .await
        .expect("the password");
    account.caller(Api::Graphql, "".into())
}

pub(super) async fn begin(server: &TestServer, caller: &Caller, at: DateTime<Utc>) -> Tokens {
    let begun = server.services.accounts.begin_session(caller, &SETTINGS, at).await;
    let (_, tokens) = begun.expect("the database answers").expect("the user is active");
    Tokens {
        access: tokens.access.reveal().to_owned(),
        refresh: tokens.refresh.reveal().to_owned(),
    }
}

async fn refresh(server: &TestServer, token: &str, at: DateTime<Utc>) -> Result<Tokens, RefreshError> {
    let accounts = &server.services.accounts;
    let refreshed = accounts.refresh_session(token, &SETTINGS, &Arc::from(""), at).await;
    let (_, tokens, _) = refreshed.expect("the database answers")?;
    Ok(Tokens {
        access: tokens.access.reveal().to_owned(),
        refresh: tokens.refresh.reveal().to_owned(),
    })
}

async fn is_valid(server: &TestServer, tokens: &Tokens, at: DateTime<Utc>) -> bool {
    let accounts = &server.services.accounts;
    let found = accounts.token(&tokens.access, Duration::ZERO, at, || Ok(())).await;
    found.expect("the database answers").is_some()
}

on_both!(
    tokens_and_sessions_expire,
    replaced_token_is_forgiven_for_ten_seconds,
    expired_sessions_are_removed,
);

async fn tokens_and_sessions_expire(server: &TestServer) {
    let (caller, start) = (ana(server).await, now().trunc_subsecs(6));
    let at = |seconds: i64| start + TimeDelta::seconds(seconds);
    let first = begin(server, &caller, start).await;
    assert!(is_valid(server, &first, at(900) - MOMENT).await);
    assert!(!is_valid(server, &first, at(900)).await);
    assert_eq!(
        refresh(server, &first.refresh, at(3_600)).await,
        Err(RefreshError::Unknown)
    );
    let second = refresh(server, &first.refresh, at(3_600) - MOMENT)
        .await
        .expect("in time");
    let third = refresh(server, &second.refresh, at(7_000)).await.expect("in time");
    // The end of the session is that of its tokens.
    assert!(is_valid(server, &third, at(7_200) - MOMENT).await);
    assert!(!is_valid(server, &third, at(7_200)).await);
    assert_eq!(
        refresh(server, &third.refresh, at(7_200)).await,
        Err(RefreshError::Unknown)
    );
    assert!(refresh(server, &third.refresh, at(7_200) - MOMENT).await.is_ok());
}

async fn replaced_token_is_forgiven_for_ten_seconds(server: &TestServer) {
    let (caller, start) = (ana(server).await, now().trunc_subsecs(6));
    let first = begin(server, &caller, start).await;
    // The time counts from the refresh, not from the sign-in.
    let replaced = start + TimeDelta::seconds(60);
    let second = refresh(server, &first.refresh, replaced).await.expect("current");
    let end = replaced + TimeDelta::seconds(10);
    assert_eq!(refresh(server, &first.refresh, end).await, Err(RefreshError::Replaced));
    assert!(is_valid(server, &second, end).await);
    assert_eq!(
        refresh(server, &first.refresh, end + MOMENT).await,
        Err(RefreshError::Reused)
    );
    assert!(!is_valid(server, &second, end).await);
    assert_eq!(refresh(server, &second.refresh, end).await, Err(RefreshError::Unknown));
}

async fn expired_sessions_are_removed(server: &TestServer) {
    let (caller, start) = (ana(server).await, now().trunc_subsecs(6));
    let at = move |seconds: i64| start + TimeDelta::seconds(seconds);
    begin(server, &caller, start).await;
    let remove = async |at| {
        let removed = remove_expired_sessions(&server.services.db, at).await;
        removed.expect("the database answers")
    };
    assert_eq!(remove(at(3_600) - MOMENT).await, 0);
    assert_eq!(server.snapshot().await.rows("session").len(), 1);
    assert_eq!(remove(at(3_600)).await, 1);
    assert_eq!(server.snapshot().await.rows("session").len(), 0);
    // A sign-in removes those of its user.
    begin(server, &caller, start).await;
    begin(server, &caller, at(3_600)).await;
    assert_eq!(server.snapshot().await.rows("session").len(), 1);
    // A server removes them together with expired idempotency records.
    let (stop, stopped) = watch::channel(false);
    let clock = move || {
        stop.send_replace(true);
        at(7_200)
    };
    let services = server.services.clone();
    keep_removing(services.db, services.changes, Arc::new(clock), stopped).await;
    assert_eq!(server.snapshot().await.rows("session").len(), 0);
}

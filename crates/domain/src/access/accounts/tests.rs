//! Tests of the costs of a sign-in attempt: hashes, charges, positions in the queue.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use async_graphql::MaybeUndefined::{Undefined, Value};
use chrono::DateTime;
use futures_util::{future::join_all, poll};
use tokio::{select, sync::Notify};

use crate::{
    access::{
        Account, Accounts, Clock, SignInError, UpsertUser,
        hash_queue::{HashPermit, MOST_WAITING, Waiter},
        in_flight::MOST_TOGETHER,
        password::Hasher,
    },
    audit::{AuditLog, AuditSettings},
    caller::{
        Caller,
        throttle::{Allowance, Charge, Throttle},
    },
};
use clientele_core::flow::Flow;
use clientele_storage::db::{Database, DatabaseSettings};

type Outcome = Result<Arc<Account>, SignInError>;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const RIGHT: &str = "right horse battery";
const FRESHNESS: Duration = Duration::from_secs(3_600);

/// A database with the user ana, and one permit to hash.
struct Fixture {
    accounts: Accounts,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn build() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite:{}", folder.path().join("users.db").display());
        let db = Database::connect(&url, &DatabaseSettings::default()).await;
        let db = db.expect("a database");
        db.migrate().await.expect("the tables");
        let audit = AuditLog::new(db.clone(), AuditSettings::default());
        let mut accounts = Accounts::new(db, audit, Clock::default());
        accounts.hasher = Arc::new(Hasher::new(1));
        let ana = UpsertUser {
            name: "ana".to_owned(),
            password: Value(RIGHT.to_owned()),
            active: None,
            permissions: Value(Vec::new()),
            view_sets: Undefined,
            edit_sets: Undefined,
            branches: Undefined,
            centres: Undefined,
            role: Undefined,
            client_mutation_id: None,
        };
        let made = accounts
            .create_user(&Caller::operator(), &ana, DateTime::UNIX_EPOCH)
            .await;
        made.expect("the database answers").expect("the user is sound");
        Self {
            accounts,
            _folder: folder,
        }
    }

    async fn verify(
        &self,
        name: &str,
        password: &str,
        charge: impl FnOnce() -> Result<Charge, Duration> + Send + 'static,
    ) -> Outcome {
        let attempt = self.accounts.attempt(name, password, HERE);
        self.accounts.verify(attempt, FRESHNESS, charge).await
    }

    async fn is_known(&self) -> bool {
        let attempt = self.accounts.attempt("ana", RIGHT, HERE);
        let known = self.accounts.known_user(&attempt, FRESHNESS).await;
        known.expect("the database answers").is_some()
    }

    fn comparisons(&self) -> u64 {
        self.accounts.hasher.comparisons()
    }

    /// The only permit: while it is held, all others wait.
    async fn permit(&self) -> HashPermit {
        let queue = &self.accounts.hasher.queue;
        let ticket = queue.join(Waiter::Caller(Flow::Internal));
        ticket.expect("room").granted().await.expect("a permit")
    }
}

/// Allows one failure.
fn throttle() -> Arc<Throttle> {
    let allowance = Allowance {
        failures: 1,
        window: FRESHNESS,
    };
    Arc::new(Throttle::new(allowance, allowance))
}

fn charging(throttle: &Arc<Throttle>) -> impl FnOnce() -> Result<Charge, Duration> + Send + 'static + use<> {
    let throttle = throttle.clone();
    move || throttle.charge(HERE, Some("ana"), Instant::now())
}

fn free() -> Result<Charge, Duration> {
    Ok(Charge::default())
}

fn never() -> Result<Charge, Duration> {
    panic!("it must not be charged")
}

#[tokio::test]
async fn equal_wrong_credentials_at_once_are_one_attempt() {
    let house = Fixture::build().await;
    for name in ["ana", "nobody", "no\0body"] {
        let (before, charges) = (house.comparisons(), Arc::new(AtomicU64::new(0)));
        let charge = || {
            let charges = charges.clone();
            move || {
                charges.fetch_add(1, SeqCst);
                free()
            }
        };
        for outcome in join_all((0..11).map(|_| house.verify(name, "wrong", charge()))).await {
            assert!(matches!(outcome, Err(SignInError::Wrong)), "{name}: {outcome:?}");
        }
        let looked = house.comparisons() - before;
        assert_eq!((looked, charges.load(SeqCst)), (1, 1), "{name}");
    }
}

#[tokio::test]
async fn caller_that_disconnects_is_verified_and_not_charged() {
    let (house, throttle, begun) = (Fixture::build().await, throttle(), Arc::new(Notify::new()));
    let (charge, has_begun) = (charging(&throttle), begun.clone());
    let charge = move || {
        has_begun.notify_one();
        charge()
    };
    select! {
        outcome = house.verify("ana", RIGHT, charge) => panic!("{outcome:?} before it was looked at"),
        () = begun.notified() => {}
    }
    charging(&throttle)().expect_err("the attempt is charged while it is looked at");
    let outcome = house.verify("ana", RIGHT, never).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert!(house.is_known().await);
    charging(&throttle)().expect("what was right costs nothing");
    assert_eq!(house.comparisons(), 1);
}

#[tokio::test]
async fn caller_that_disconnects_while_waiting_is_not_charged() {
    let house = Fixture::build().await;
    let permit = house.permit().await;
    // More attempts than the queue has positions, one after another.
    for number in 0..2 * MOST_WAITING {
        let password = format!("wrong {number}");
        let mut one = Box::pin(house.verify("ana", &password, never));
        let mut same = Box::pin(house.verify("ana", &password, never));
        assert!(poll!(one.as_mut()).is_pending() && poll!(same.as_mut()).is_pending());
        drop(one);
        tokio::task::yield_now().await;
        assert!(poll!(same.as_mut()).is_pending(), "a request still waits for it");
        drop(same);
        // The spawned task ends when it sees that no request waits.
        while !house.accounts.in_flight.is_empty() {
            tokio::task::yield_now().await;
        }
    }
    drop(permit);
    let outcome = house.verify("ana", RIGHT, free).await;
    assert!(outcome.is_ok(), "{outcome:?}");
    assert_eq!(house.comparisons(), 1);
}

#[tokio::test]
async fn refusal_of_a_full_queue_is_immediate_and_free() {
    let house = Fixture::build().await;
    let permit = house.permit().await;
    // One is next in its lane, the others wait behind it.
    let waiting = (0..MOST_WAITING + 1).map(|number| format!("wrong {number}"));
    let waiting: Vec<_> = waiting
        .map(|password| async {
            let password = password;
            house.verify("ana", &password, free).await
        })
        .collect();
    let mut waiting: Vec<_> = waiting.into_iter().map(Box::pin).collect();
    for attempt in &mut waiting {
        assert!(poll!(attempt.as_mut()).is_pending());
    }
    for (name, password) in [("ana", "wrong"), ("ana", RIGHT), ("nobody", RIGHT)] {
        let outcome = house.verify(name, password, never).await;
        assert!(matches!(outcome, Err(SignInError::Busy)), "{outcome:?}");
    }
    assert_eq!(house.comparisons(), 0);
    drop((waiting, permit));
}

#[tokio::test]
async fn waiting_requests_for_one_outcome_are_limited() {
    let house = Fixture::build().await;
    let permit = house.permit().await;
    let mut crowd: Vec<_> = (0..=MOST_TOGETHER)
        .map(|_| Box::pin(house.verify("ana", RIGHT, free)))
        .collect();
    let mut last = crowd.pop().expect("one of them");
    for attempt in &mut crowd {
        assert!(poll!(attempt.as_mut()).is_pending());
    }
    let outcome = last.as_mut().await;
    assert!(matches!(outcome, Err(SignInError::Busy)), "{outcome:?}");
    drop(permit);
    for outcome in join_all(crowd).await {
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    assert_eq!(house.comparisons(), 1);
}

#[tokio::test]
async fn late_requests_are_free_and_throttled_ones_not_verified() {
    let house = Fixture::build().await;
    let wait = Duration::from_secs(7);
    let refused = house.verify("ana", RIGHT, move || Err(wait)).await;
    assert!(
        matches!(refused, Err(SignInError::TooMany(time)) if time == wait),
        "{refused:?}"
    );
    assert_eq!(house.comparisons(), 0);
    for charge in [free, never] {
        let outcome = house.verify("ana", RIGHT, charge).await;
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    assert_eq!(house.comparisons(), 1);
}

#[tokio::test]
async fn network_of_a_signed_in_user_has_its_own_priority() {
    let house = Fixture::build().await;
    let verified = &house.accounts.credentials;
    for (password, waiter) in [("wrong", Waiter::Network(HERE)), (RIGHT, Waiter::KnownNetwork(HERE))] {
        assert_eq!(house.verify("ana", password, free).await.is_ok(), password == RIGHT);
        assert_eq!(verified.waiter(HERE), waiter, "{password}");
    }
    let elsewhere = IpAddr::V4(Ipv4Addr::BROADCAST);
    assert_eq!(verified.waiter(elsewhere), Waiter::Network(elsewhere));
}

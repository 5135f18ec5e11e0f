//! Tests of reserving, refusing and returning the resources of a budget.

use std::time::Duration;

use futures_util::FutureExt;

use super::{AnswerSettings, BudgetPool, Connections, Priority, Reading, RequestBudget, Text, hold};
use crate::{error::Error, flow::Flow};

const MINUTE: Duration = Duration::from_secs(60);
/// The minimum that each request reserves; reservations from the shared memory are multiples of it.
const BLOCK: usize = 64 << 10;

fn pool(bytes: usize, blocks_together: usize) -> BudgetPool {
    let bytes_together = blocks_together * BLOCK;
    BudgetPool::new(MINUTE, Connections::ONE, &AnswerSettings { bytes, bytes_together })
}

fn in_use(pool: &BudgetPool) -> usize {
    pool.memory.in_use()
}

async fn write(budget: &RequestBudget, text: &str) -> Result<Vec<u8>, Error> {
    let write = async {
        let mut written = Text::begin();
        written.push(text);
        written.finish()
    };
    budget.clone().scope(write).await
}

#[tokio::test]
async fn an_answer_is_as_large_as_it_may_be_and_no_larger() {
    let pool = pool(1_000, 100);
    let budget = pool.start(Priority::Read, None).expect("there is room");
    budget.hold(400).expect("there is room");
    assert_eq!(write(&budget, &"x".repeat(600)).await.expect("it fits").len(), 600);
    for _ in 0..2 {
        let refused = write(&budget, "x").await;
        assert!(matches!(refused, Err(Error::TooLarge { most: 1_000 })), "{refused:?}");
    }
}

#[tokio::test]
async fn several_texts_of_one_request_count_together_as_what_they_are() {
    let pool = pool(1_000, 100);
    let budget = pool.start(Priority::Read, None).expect("there is room");
    for _ in 0..100 {
        write(&budget, "ten bytes!").await.expect("it fits");
    }
    assert!(matches!(write(&budget, "x").await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn a_text_that_is_refused_takes_nothing_any_more() {
    let pool = pool(1_000, 100);
    let budget = pool.start(Priority::Read, None).expect("there is room");
    let write = async {
        let mut text = Text::begin();
        text.value(&"x".repeat(2_000));
        assert!(text.is_refused());
        text.value("x");
        text.push("x");
        text.finish()
    };
    assert!(matches!(budget.scope(write).await, Err(Error::TooLarge { .. })));
    assert_eq!(in_use(&pool), 0);
}

#[tokio::test]
async fn what_is_no_json_is_a_defect_and_never_half_written() {
    for pool in [None, Some(pool(1_000, 100))] {
        let write = async {
            let mut text = Text::begin();
            text.push("[");
            text.value(&std::collections::HashMap::from([((1, 2), "a key that is no text")]));
            text.push("]");
            text.finish()
        };
        let written = match pool {
            Some(pool) => {
                pool.start(Priority::Read, None)
                    .expect("there is room")
                    .scope(write)
                    .await
            }
            None => write.await,
        };
        assert!(matches!(written, Err(Error::Internal(_))), "{written:?}");
    }
}

#[tokio::test]
async fn all_requests_share_what_there_is() {
    let pool = pool(usize::MAX, 16);
    let large = pool.start(Priority::Read, None).expect("there is room");
    // Two blocks are reserved for first blocks of other answers.
    large.hold(14 * BLOCK).expect("there is room");
    let small: Vec<_> = (0..2)
        .map(|_| pool.start(Priority::Read, None).expect("there is room"))
        .collect();
    assert_eq!(in_use(&pool), 16 * BLOCK);
    assert!(matches!(pool.start(Priority::Read, None), Err(Error::Busy)));
    assert!(matches!(pool.start(Priority::Change, None), Err(Error::Busy)));
    small[0].hold(BLOCK).expect("it has that already");
    assert!(matches!(small[0].hold(1), Err(Error::Busy)));
    drop(large);
    assert!(
        matches!(small[0].hold(1), Err(Error::Busy)),
        "what is refused stays refused"
    );
    small[1].hold(2 * BLOCK).expect("there is room again");
    drop(small);
    assert_eq!(in_use(&pool), 0);
}

#[tokio::test]
async fn what_a_change_has_stored_is_told_even_if_memory_is_short_or_time_is_over() {
    let pool = BudgetPool::new(
        Duration::ZERO,
        Connections::ONE,
        &AnswerSettings {
            bytes: usize::MAX,
            bytes_together: BLOCK,
        },
    );
    let change = pool.start(Priority::Change, None).expect("there is room");
    assert_eq!(
        write(&change, &"x".repeat(2 * BLOCK)).await.expect("it fits").len(),
        2 * BLOCK
    );
    drop(change);
    let read = pool.start(Priority::Read, None).expect("there is room");
    assert!(matches!(write(&read, "").await, Err(Error::TimedOut)));
}

fn flow(name: &str) -> Flow {
    Flow::Caller("USER", name.into())
}

#[tokio::test]
async fn a_caller_leaves_a_quarter_of_the_connections_to_others_however_many_requests_it_sends() {
    let connections = Connections { all: 8, of_request: 4 };
    let pool = BudgetPool::new(MINUTE, connections, &AnswerSettings::default());
    let request = |caller: Option<&str>| {
        let allowed = pool.start(Priority::Read, caller.map(flow));
        allowed.expect("there is memory")
    };
    let requests: Vec<_> = (0..8).map(|_| request(Some("ana"))).collect();
    let take = |request: &RequestBudget| request.connection().now_or_never().flatten();
    let mut in_use: Vec<_> = (0..2).flat_map(|_| &requests).filter_map(take).collect();
    assert_eq!(in_use.len(), 6);
    let other = request(Some("bo"));
    assert!(take(&other).is_some(), "others have what is left");
    in_use.pop();
    assert!(take(&requests[0]).is_some(), "what is given back can be had again");
    drop((requests, in_use));
    let again = request(Some("ana"));
    let in_use: Vec<_> = (0..9).filter_map(|_| take(&again)).collect();
    assert_eq!(in_use.len(), 4, "one request is limited to its own part");
    for (all, of_caller) in [(1, 1), (2, 1), (3, 2), (4, 3), (16, 12)] {
        let pool = BudgetPool::new(MINUTE, Connections { all, of_request: all }, &AnswerSettings::default());
        let allowed = pool.start(Priority::Read, Some(flow("ana"))).expect("there is memory");
        let in_use: Vec<_> = (0..all).filter_map(|_| take(&allowed)).collect();
        assert_eq!(in_use.len(), of_caller, "of {all}");
    }
    // Without authentication there are no other callers.
    let requests: Vec<_> = (0..8).map(|_| request(None)).collect();
    assert_eq!(requests.iter().filter_map(take).count(), 8);
}

#[tokio::test]
async fn an_answer_is_held_until_its_last_byte_is_gone() {
    let pool = pool(usize::MAX, 100);
    let budget = pool.start(Priority::Read, None).expect("there is room");
    budget.hold(20 * BLOCK).expect("there is room");
    let mut pieces = budget.keep([vec![0; 10].into(), vec![0; 20].into()]);
    drop(budget);
    assert_eq!(in_use(&pool), 30, "what was read for it is gone");
    let sent = pieces[0].split_to(4);
    drop(pieces);
    assert_eq!(in_use(&pool), 30);
    drop(sent);
    assert_eq!(in_use(&pool), 0);
}

#[tokio::test]
async fn what_is_read_twice_counts_once() {
    let pool = pool(1_000, 100);
    let budget = pool.start(Priority::Read, None).expect("there is room");
    let read = async {
        for _ in 0..10 {
            Reading::begin().hold(1_000).expect("it fits");
        }
        let mut reading = Reading::begin();
        reading.hold(1_000).expect("it fits");
        reading.keep();
        hold(1)
    };
    assert!(matches!(budget.scope(read).await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn outside_of_a_request_there_are_no_bounds() {
    hold(usize::MAX).expect("there is no limit");
    let mut text = Text::begin();
    text.push("text");
    assert_eq!(text.finish().expect("there is no limit"), b"text");
}

#[test]
fn one_caller_leaves_a_quarter_of_the_memory_to_others() {
    let pool = pool(usize::MAX, 64);
    let begin = |flow| pool.start(Priority::Read, flow);
    let mut kept: Vec<_> = std::iter::from_fn(|| begin(Some(flow("ana"))).ok()).collect();
    assert_eq!(kept.len(), 48);
    kept.extend(begin(Some(flow("bo"))).ok());
    assert_eq!(kept.len(), 49, "others have what is left");
    assert!(matches!(begin(Some(flow("ana"))), Err(Error::Busy)));
    kept.drain(..10);
    assert!(begin(Some(flow("ana"))).is_ok(), "what is given back can be had again");
    drop(kept);
    assert_eq!(in_use(&pool), 0);
}

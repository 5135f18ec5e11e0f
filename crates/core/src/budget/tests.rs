//! Tests of reserving, refusing and returning the resources of a budget.

use std::time::Duration;

use futures_util::FutureExt;

use super::{Allowance, AnswerSettings, Connections, Means, Purpose, Reading, Text, hold};
use crate::{error::Error, flow::Flow};

const MINUTE: Duration = Duration::from_secs(60);
/// The minimum that each request reserves; reservations from the shared memory are multiples of it.
const BLOCK: usize = 64 << 10;

fn means(bytes: usize, blocks_together: usize) -> Means {
    let bytes_together = blocks_together * BLOCK;
    Means::new(MINUTE, Connections::ONE, &AnswerSettings { bytes, bytes_together })
}

fn taken(means: &Means) -> usize {
    means.memory.taken()
}

async fn write(allowance: &Allowance, text: &str) -> Result<Vec<u8>, Error> {
    let write = async {
        let mut written = Text::begin();
        written.push(text);
        written.finish()
    };
    allowance.clone().scope(write).await
}

#[tokio::test]
async fn an_answer_is_as_large_as_it_may_be_and_no_larger() {
    let means = means(1_000, 100);
    let allowance = means.allow(Purpose::Read, None).expect("there is room");
    allowance.hold(400).expect("there is room");
    assert_eq!(write(&allowance, &"x".repeat(600)).await.expect("it fits").len(), 600);
    for _ in 0..2 {
        let refused = write(&allowance, "x").await;
        assert!(matches!(refused, Err(Error::TooLarge { most: 1_000 })), "{refused:?}");
    }
}

#[tokio::test]
async fn several_texts_of_one_request_count_together_as_what_they_are() {
    let means = means(1_000, 100);
    let allowance = means.allow(Purpose::Read, None).expect("there is room");
    for _ in 0..100 {
        write(&allowance, "ten bytes!").await.expect("it fits");
    }
    assert!(matches!(write(&allowance, "x").await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn a_text_that_is_refused_takes_nothing_any_more() {
    let means = means(1_000, 100);
    let allowance = means.allow(Purpose::Read, None).expect("there is room");
    let write = async {
        let mut text = Text::begin();
        text.value(&"x".repeat(2_000));
        assert!(text.is_refused());
        text.value("x");
        text.push("x");
        text.finish()
    };
    assert!(matches!(allowance.scope(write).await, Err(Error::TooLarge { .. })));
    assert_eq!(taken(&means), 0);
}

#[tokio::test]
async fn what_is_no_json_is_a_defect_and_never_half_written() {
    for means in [None, Some(means(1_000, 100))] {
        let write = async {
            let mut text = Text::begin();
            text.push("[");
            text.value(&std::collections::HashMap::from([((1, 2), "a key that is no text")]));
            text.push("]");
            text.finish()
        };
        let written = match means {
            Some(means) => {
                means
                    .allow(Purpose::Read, None)
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
    let means = means(usize::MAX, 16);
    let large = means.allow(Purpose::Read, None).expect("there is room");
    // Two blocks are reserved for first blocks of other answers.
    large.hold(14 * BLOCK).expect("there is room");
    let small: Vec<_> = (0..2)
        .map(|_| means.allow(Purpose::Read, None).expect("there is room"))
        .collect();
    assert_eq!(taken(&means), 16 * BLOCK);
    assert!(matches!(means.allow(Purpose::Read, None), Err(Error::Busy)));
    assert!(matches!(means.allow(Purpose::Change, None), Err(Error::Busy)));
    small[0].hold(BLOCK).expect("it has that already");
    assert!(matches!(small[0].hold(1), Err(Error::Busy)));
    drop(large);
    assert!(
        matches!(small[0].hold(1), Err(Error::Busy)),
        "what is refused stays refused"
    );
    small[1].hold(2 * BLOCK).expect("there is room again");
    drop(small);
    assert_eq!(taken(&means), 0);
}

#[tokio::test]
async fn what_a_change_has_stored_is_told_even_if_memory_is_short_or_time_is_over() {
    let means = Means::new(
        Duration::ZERO,
        Connections::ONE,
        &AnswerSettings {
            bytes: usize::MAX,
            bytes_together: BLOCK,
        },
    );
    let change = means.allow(Purpose::Change, None).expect("there is room");
    assert_eq!(
        write(&change, &"x".repeat(2 * BLOCK)).await.expect("it is told").len(),
        2 * BLOCK
    );
    drop(change);
    let read = means.allow(Purpose::Read, None).expect("there is room");
    assert!(matches!(write(&read, "").await, Err(Error::TimedOut)));
}

fn flow(name: &str) -> Flow {
    Flow::Caller("USER", name.into())
}

#[tokio::test]
async fn a_caller_leaves_a_quarter_of_the_connections_to_others_however_many_requests_it_sends() {
    let connections = Connections { all: 8, of_request: 4 };
    let means = Means::new(MINUTE, connections, &AnswerSettings::default());
    let request = |caller: Option<&str>| {
        let allowed = means.allow(Purpose::Read, caller.map(flow));
        allowed.expect("there is memory")
    };
    let requests: Vec<_> = (0..8).map(|_| request(Some("ana"))).collect();
    let take = |request: &Allowance| request.connection().now_or_never().flatten();
    let mut taken: Vec<_> = (0..2).flat_map(|_| &requests).filter_map(take).collect();
    assert_eq!(taken.len(), 6);
    let other = request(Some("bo"));
    assert!(take(&other).is_some(), "others have what is left");
    taken.pop();
    assert!(take(&requests[0]).is_some(), "what is given back can be had again");
    drop((requests, taken));
    let again = request(Some("ana"));
    let taken: Vec<_> = (0..9).filter_map(|_| take(&again)).collect();
    assert_eq!(taken.len(), 4, "one request has no more than its own part");
    for (all, of_caller) in [(1, 1), (2, 1), (3, 2), (4, 3), (16, 12)] {
        let means = Means::new(MINUTE, Connections { all, of_request: all }, &AnswerSettings::default());
        let allowed = means.allow(Purpose::Read, Some(flow("ana"))).expect("there is memory");
        let taken: Vec<_> = (0..all).filter_map(|_| take(&allowed)).collect();
        assert_eq!(taken.len(), of_caller, "of {all}");
    }
    // Without authentication there are no other callers.
    let requests: Vec<_> = (0..8).map(|_| request(None)).collect();
    assert_eq!(requests.iter().filter_map(take).count(), 8);
}

#[tokio::test]
async fn an_answer_is_held_until_its_last_byte_is_gone() {
    let means = means(usize::MAX, 100);
    let allowance = means.allow(Purpose::Read, None).expect("there is room");
    allowance.hold(20 * BLOCK).expect("there is room");
    let mut pieces = allowance.keep([vec![0; 10].into(), vec![0; 20].into()]);
    drop(allowance);
    assert_eq!(taken(&means), 30, "what was read for it is gone");
    let sent = pieces[0].split_to(4);
    drop(pieces);
    assert_eq!(taken(&means), 30);
    drop(sent);
    assert_eq!(taken(&means), 0);
}

#[tokio::test]
async fn what_is_read_twice_counts_once() {
    let means = means(1_000, 100);
    let allowance = means.allow(Purpose::Read, None).expect("there is room");
    let read = async {
        for _ in 0..10 {
            Reading::begin().hold(1_000).expect("it fits");
        }
        let mut reading = Reading::begin();
        reading.hold(1_000).expect("it fits");
        reading.keep();
        hold(1)
    };
    assert!(matches!(allowance.scope(read).await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn outside_of_a_request_there_are_no_bounds() {
    hold(usize::MAX).expect("nobody counts");
    let mut text = Text::begin();
    text.push("text");
    assert_eq!(text.finish().expect("nobody counts"), b"text");
}

#[test]
fn one_caller_leaves_a_quarter_of_the_memory_to_others() {
    let means = means(usize::MAX, 64);
    let begin = |flow| means.allow(Purpose::Read, flow);
    let mut kept: Vec<_> = std::iter::from_fn(|| begin(Some(flow("ana"))).ok()).collect();
    assert_eq!(kept.len(), 48);
    kept.extend(begin(Some(flow("bo"))).ok());
    assert_eq!(kept.len(), 49, "others have what is left");
    assert!(matches!(begin(Some(flow("ana"))), Err(Error::Busy)));
    kept.drain(..10);
    assert!(begin(Some(flow("ana"))).is_ok(), "what is given back can be had again");
    drop(kept);
    assert_eq!(taken(&means), 0);
}

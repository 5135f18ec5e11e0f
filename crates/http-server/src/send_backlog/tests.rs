//! Tests of the time that a caller has to read a response, to the second.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{PIECE, Reason, SendBacklog, Stream};

const PATIENCE: Duration = Duration::from_secs(30);
const MIB: usize = 1024 * 1024;

fn after(seconds: u64, start: Instant) -> Instant {
    start + Duration::from_secs(seconds)
}

/// An answer begins and hands its first piece over.
fn begun(backlog: &mut SendBacklog, now: Instant, bytes: usize, stream: Option<Stream>) -> u64 {
    let id = backlog.add(now, bytes, stream);
    backlog.push(now, id, PIECE);
    id
}

fn stalled(backlog: &mut SendBacklog, now: Instant) -> bool {
    backlog.stalled(now, PATIENCE) == Err(Reason::SendTimeout)
}

#[test]
fn a_part_must_be_read_completely_and_in_time() {
    let start = Instant::now();
    for (bytes, part) in [(MIB, PIECE), (64 * MIB, 2 * MIB)] {
        let mut backlog = SendBacklog::default();
        let id = begun(&mut backlog, start, bytes, None);
        backlog.push(start, id, part);
        assert!(!stalled(&mut backlog, after(29, start)), "{bytes}");
        // Not all of the part: the time goes on.
        backlog.sent(after(29, start), id, part - 1);
        assert!(stalled(&mut backlog, after(30, start)), "{bytes}");
        backlog.sent(after(29, start), id, 1);
        assert!(!stalled(&mut backlog, after(58, start)), "{bytes}");
        assert!(stalled(&mut backlog, after(59, start)), "{bytes}");
    }
}

#[test]
fn response_that_waits_for_its_own_bytes_is_not_late() {
    let (start, mut backlog) = (Instant::now(), SendBacklog::default());
    let id = begun(&mut backlog, start, MIB, None);
    backlog.idle(id);
    assert_eq!(backlog.stalled(after(3_600, start), PATIENCE), Ok(None));
    backlog.push(after(3_600, start), id, PIECE);
    let end = Some(after(3_630, start));
    let none = Ok(end);
    assert_eq!(backlog.stalled(after(3_629, start), PATIENCE), none);
    assert!(stalled(&mut backlog, after(3_630, start)));
}

#[tokio::test]
async fn stream_is_aborted_alone_once_and_while_others_move() {
    let (start, mut backlog) = (Instant::now(), SendBacklog::default());
    let stream = |task: &tokio::task::JoinHandle<()>| {
        let stream = Stream::default();
        let _ = stream.set(task.abort_handle());
        Some(stream)
    };
    let (slow, other) = (
        tokio::spawn(std::future::pending()),
        tokio::spawn(std::future::pending()),
    );
    begun(&mut backlog, start, MIB, stream(&slow));
    let moving = begun(&mut backlog, start, MIB, stream(&other));
    backlog.sent(after(20, start), moving, PIECE);
    let next = Some(after(50, start));
    let none = Ok(next);
    assert_eq!(backlog.stalled(after(30, start), PATIENCE), none);
    assert!(slow.await.is_err_and(|end| end.is_cancelled()));
    assert!(!other.is_finished());
    // Nothing has been taken since: the connection is at fault.
    assert!(stalled(&mut backlog, after(50, start)));

    backlog.remove(moving);
    // What stays where it is though its task has gone can be given up with its connection only.
    assert!(!stalled(&mut backlog, after(59, start)));
    assert!(stalled(&mut backlog, after(60, start)));
}

#[test]
fn response_counts_as_a_whole_until_it_is_sent() {
    let (start, mut backlog) = (Instant::now(), SendBacklog::default());
    let first = begun(&mut backlog, start, MIB, None);
    let second = begun(&mut backlog, start, 2 * MIB, Some(Arc::default()));
    backlog.sent(start, first, PIECE);
    assert_eq!(backlog.bytes(), 3 * MIB);
    backlog.remove(first);
    assert_eq!(backlog.bytes(), 2 * MIB);
    backlog.remove(second);
    assert_eq!(backlog.bytes(), 0);
}

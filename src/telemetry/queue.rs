//! The records that wait to be exported, at most a number of bytes: when it is full, new ones are lost and counted.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::{Notify, mpsc};

/// The most bytes of waiting records.
pub(super) const MOST_BYTES: usize = 4 << 20;
/// The bytes from which on a batch doesn't wait for more.
pub(super) const BATCH_BYTES: usize = 512 << 10;

/// Adds records to a queue. Never blocks.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    sender: mpsc::UnboundedSender<Vec<u8>>,
    state: Arc<QueueState>,
}

/// Takes batches from a queue.
#[derive(Debug)]
pub(super) struct Receiver {
    receiver: mpsc::UnboundedReceiver<Vec<u8>>,
    state: Arc<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    bytes: AtomicUsize,
    lost: AtomicU64,
    /// Notified when a batch is complete.
    batch: Notify,
}

pub(super) fn queue() -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let state = Arc::<QueueState>::default();
    let sender = Sender {
        sender,
        state: state.clone(),
    };
    (sender, Receiver { receiver, state })
}

impl Sender {
    pub fn add(&self, record: Vec<u8>) {
        let bytes = record.len();
        let before = self.state.bytes.fetch_add(bytes, Relaxed);
        let after = before + bytes;
        if after > MOST_BYTES || self.sender.send(record).is_err() {
            self.state.bytes.fetch_sub(bytes, Relaxed);
            self.state.lost.fetch_add(1, Relaxed);
        } else if before < BATCH_BYTES && after >= BATCH_BYTES {
            self.state.batch.notify_one();
        }
    }
}

impl Receiver {
    /// Waits for the first record of the next batch. None if all senders have been dropped.
    pub async fn first(&mut self) -> Option<Vec<u8>> {
        self.receiver.recv().await
    }

    /// Returns when the waiting records are enough for a batch.
    pub async fn is_full(&self) {
        let notified = self.state.batch.notified();
        if self.state.bytes.load(Relaxed) < BATCH_BYTES {
            notified.await;
        }
    }

    /// The next batch: the waiting records after `first`, up to its size. Empty when there is none.
    pub fn batch(&mut self, first: Option<Vec<u8>>) -> Vec<Vec<u8>> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        let mut next = first.or_else(|| self.receiver.try_recv().ok());
        while let Some(record) = next {
            bytes += record.len();
            batch.push(record);
            next = match bytes < BATCH_BYTES {
                true => self.receiver.try_recv().ok(),
                false => None,
            };
        }
        self.state.bytes.fetch_sub(bytes, Relaxed);
        batch
    }

    /// Counts records that can't be exported.
    pub fn lose(&self, records: usize) {
        self.state.lost.fetch_add(records as u64, Relaxed);
    }

    /// Counts all waiting records as lost.
    pub fn lose_rest(&mut self) {
        loop {
            match self.batch(None).len() {
                0 => return,
                records => self.lose(records),
            }
        }
    }

    pub fn has_lost(&self) -> bool {
        self.state.lost.load(Relaxed) > 0
    }

    /// The number of records that were lost since the last call.
    pub fn take_lost(&self) -> u64 {
        self.state.lost.swap(0, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::{BATCH_BYTES, MOST_BYTES, queue};

    #[tokio::test]
    async fn full_queue_loses_new_records_and_counts_them() {
        let (sender, mut receiver) = queue();
        let record = || vec![0; 64 << 10];
        let most = MOST_BYTES / record().len();
        for _ in 0..most {
            sender.add(record());
        }
        assert_eq!(receiver.take_lost(), 0);
        sender.add(record());
        sender.add(vec![0]);
        assert_eq!(receiver.take_lost(), 2);
        let batch = receiver.batch(None);
        assert_eq!(batch.len(), BATCH_BYTES / record().len());
        for _ in 0..batch.len() {
            sender.add(record());
        }
        sender.add(vec![0]);
        assert_eq!((receiver.take_lost(), receiver.take_lost()), (1, 0));
        let mut left = 0;
        while let Ok(first) = receiver.receiver.try_recv() {
            left += receiver.batch(Some(first)).len();
        }
        assert_eq!(left, most);
        sender.add(vec![0; MOST_BYTES]);
        assert_eq!(receiver.take_lost(), 0);
    }

    #[tokio::test]
    async fn complete_batch_is_announced() {
        let (sender, mut receiver) = queue();
        sender.add(vec![0; BATCH_BYTES - 1]);
        assert_eq!(receiver.is_full().now_or_never(), None);
        sender.add(vec![0]);
        assert_eq!(receiver.is_full().now_or_never(), Some(()));
        let first = receiver.first().now_or_never().flatten();
        assert_eq!(receiver.batch(first).len(), 2);
        sender.add(vec![0]);
        // The notification of the batch before may be left.
        let _ = receiver.is_full().now_or_never();
        assert_eq!(receiver.is_full().now_or_never(), None);
    }
}

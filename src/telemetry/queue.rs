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

/// The end of a queue at which records enter. Never blocks.
#[derive(Clone, Debug)]
pub(super) struct Entrance {
    sender: mpsc::UnboundedSender<Vec<u8>>,
    fill: Arc<Fill>,
}

/// The end at which batches leave.
#[derive(Debug)]
pub(super) struct Exit {
    receiver: mpsc::UnboundedReceiver<Vec<u8>>,
    fill: Arc<Fill>,
}

#[derive(Debug, Default)]
struct Fill {
    bytes: AtomicUsize,
    lost: AtomicU64,
    /// Notified when a batch is complete.
    batch: Notify,
}

pub(super) fn queue() -> (Entrance, Exit) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let fill = Arc::<Fill>::default();
    let entrance = Entrance {
        sender,
        fill: fill.clone(),
    };
    (entrance, Exit { receiver, fill })
}

impl Entrance {
    pub fn add(&self, record: Vec<u8>) {
        let bytes = record.len();
        let before = self.fill.bytes.fetch_add(bytes, Relaxed);
        let after = before + bytes;
        if after > MOST_BYTES || self.sender.send(record).is_err() {
            self.fill.bytes.fetch_sub(bytes, Relaxed);
            self.fill.lost.fetch_add(1, Relaxed);
        } else if before < BATCH_BYTES && after >= BATCH_BYTES {
            self.fill.batch.notify_one();
        }
    }
}

impl Exit {
    /// The first record of the next batch, once there is one. None when no more can come.
    pub async fn first(&mut self) -> Option<Vec<u8>> {
        self.receiver.recv().await
    }

    /// Returns when the waiting records are enough for a batch.
    pub async fn is_full(&self) {
        let notified = self.fill.batch.notified();
        if self.fill.bytes.load(Relaxed) < BATCH_BYTES {
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
        self.fill.bytes.fetch_sub(bytes, Relaxed);
        batch
    }

    /// Counts records that can't be exported.
    pub fn lose(&self, records: usize) {
        self.fill.lost.fetch_add(records as u64, Relaxed);
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
        self.fill.lost.load(Relaxed) > 0
    }

    /// The number of records that were lost since the last call.
    pub fn take_lost(&self) -> u64 {
        self.fill.lost.swap(0, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::{BATCH_BYTES, MOST_BYTES, queue};

    #[tokio::test]
    async fn full_queue_loses_new_records_and_counts_them() {
        let (entrance, mut exit) = queue();
        let record = || vec![0; 64 << 10];
        let most = MOST_BYTES / record().len();
        for _ in 0..most {
            entrance.add(record());
        }
        assert_eq!(exit.take_lost(), 0);
        entrance.add(record());
        entrance.add(vec![0]);
        assert_eq!(exit.take_lost(), 2);
        let batch = exit.batch(None);
        assert_eq!(batch.len(), BATCH_BYTES / record().len());
        for _ in 0..batch.len() {
            entrance.add(record());
        }
        entrance.add(vec![0]);
        assert_eq!((exit.take_lost(), exit.take_lost()), (1, 0));
        let mut left = 0;
        while let Ok(first) = exit.receiver.try_recv() {
            left += exit.batch(Some(first)).len();
        }
        assert_eq!(left, most);
        entrance.add(vec![0; MOST_BYTES]);
        assert_eq!(exit.take_lost(), 0);
    }

    #[tokio::test]
    async fn complete_batch_is_announced() {
        let (entrance, mut exit) = queue();
        entrance.add(vec![0; BATCH_BYTES - 1]);
        assert_eq!(exit.is_full().now_or_never(), None);
        entrance.add(vec![0]);
        assert_eq!(exit.is_full().now_or_never(), Some(()));
        let first = exit.first().now_or_never().flatten();
        assert_eq!(exit.batch(first).len(), 2);
        entrance.add(vec![0]);
        // The notification of the batch before may be left.
        let _ = exit.is_full().now_or_never();
        assert_eq!(exit.is_full().now_or_never(), None);
    }
}

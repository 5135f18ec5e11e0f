//! Exports the records of one signal in batches, in the background. Requests never wait for it.

use std::time::Duration;

use rand::RngExt;
use tokio::{
    select,
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    collector::{Collector, ExportError, Signal},
    queue::Receiver,
    records::Resource,
};

/// The time that a batch waits for further records.
const INTERVAL: Duration = Duration::from_secs(1);
/// The wait before a failed export is repeated, which doubles each time, up to the second value.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The shortest time between two warnings of one kind.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

tokio::task_local! {
    static EXPORTING: ();
}

/// Returns true in the task of an exporter. Its log lines aren't exported: each export could cause the next one.
pub(super) fn is_exporting() -> bool {
    EXPORTING.try_with(|()| ()).is_ok()
}

pub(super) struct Exporter {
    pub signal: Signal,
    pub collector: Collector,
    pub resource: Resource,
    pub queue: Receiver,
    pub log: Log,
}

impl Exporter {
    /// Exports until `stop` is true, and then the queued records as long as the collector accepts them.
    pub async fn run(self, stop: watch::Receiver<bool>) {
        EXPORTING.scope((), self.export_all(stop)).await;
    }

    async fn export_all(mut self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let first = select! {
                first = self.queue.first() => first,
                _ = stopped(&mut stop) => break,
            };
            select! {
                () = sleep(INTERVAL) => {}
                () = self.queue.is_full() => {}
                _ = stopped(&mut stop) => {}
            }
            let batch = self.queue.batch(first);
            self.deliver(&batch, &mut stop).await;
            if !*stop.borrow() {
                self.log_losses(BETWEEN_WARNINGS);
            }
        }
        loop {
            let batch = self.queue.batch(None);
            if batch.is_empty() || !self.deliver(&batch, &mut stop).await {
                break;
            }
        }
        self.queue.lose_rest();
        self.log_losses(Duration::ZERO);
    }

    fn log_losses(&mut self, pause: Duration) {
        self.log.lost(self.signal, &self.queue, pause);
        self.log.rejected(self.signal, pause);
    }

    /// Exports a batch, as often as needed until `stop`. False when the collector doesn't take it.
    async fn deliver(&mut self, batch: &[Vec<u8>], stop: &mut watch::Receiver<bool>) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            let is_last = *stop.borrow() || stop.has_changed().is_err();
            let error = match self.collector.export(self.resource.request(batch)).await {
                Ok(rejected) => {
                    self.log.accepted(self.signal);
                    self.log.rejected += rejected.min(batch.len() as u64);
                    return true;
                }
                Err(error) => error,
            };
            self.log.failed(self.signal, &error);
            match error {
                ExportError::Temporary(_, wait) if !is_last => {
                    let shared = pause.mul_f64(rand::rng().random_range(0.5..1.0));
                    select! {
                        () = sleep(wait.unwrap_or(shared)) => {}
                        _ = stopped(stop) => {}
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                _ => {
                    self.queue.lose(batch.len());
                    return false;
                }
            }
        }
    }
}

/// A dropped sender counts as a stop.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// The lines about failed exports: one at the beginning of an outage and one at its end, and at most one a minute.
#[derive(Debug, Default)]
pub(super) struct Log {
    is_failing: bool,
    /// The outage was logged.
    is_known: bool,
    warned: Option<Instant>,
    counted: Option<Instant>,
    /// The records that the collector rejected since the last line about them.
    rejected: u64,
    rejected_logged: Option<Instant>,
}

impl Log {
    fn failed(&mut self, signal: Signal, cause: &ExportError) {
        let is_first = !std::mem::replace(&mut self.is_failing, true);
        if is_first && is_due(&mut self.warned, BETWEEN_WARNINGS) {
            self.is_known = true;
            let signal = signal.as_str();
            tracing::warn!(signal, %cause, "telemetry isn't exported: check telemetry.otlp_endpoint and the collector");
        }
    }

    fn accepted(&mut self, signal: Signal) {
        self.is_failing = false;
        if std::mem::take(&mut self.is_known) {
            tracing::info!(signal = signal.as_str(), "telemetry is exported again");
        }
    }

    /// Logs the number of lost records, unless that was done within `pause`: then they are counted on.
    fn lost(&mut self, signal: Signal, queue: &Receiver, pause: Duration) {
        if queue.has_lost() && is_due(&mut self.counted, pause) {
            let records = queue.take_lost();
            tracing::warn!(
                signal = signal.as_str(),
                records,
                "telemetry lost: the collector didn't take it in time"
            );
        }
    }

    /// Logs the number of records that the collector rejected in exports that it accepted.
    fn rejected(&mut self, signal: Signal, pause: Duration) {
        if self.rejected > 0 && is_due(&mut self.rejected_logged, pause) {
            let records = std::mem::take(&mut self.rejected);
            tracing::warn!(
                signal = signal.as_str(),
                records,
                "telemetry lost: the collector rejected records of an export: see its log"
            );
        }
    }
}

/// Returns true once in this time.
fn is_due(last: &mut Option<Instant>, pause: Duration) -> bool {
    let is_due = last.is_none_or(|last| last.elapsed() >= pause);
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}

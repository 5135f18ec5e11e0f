//! Reports the state of the program to a service manager, such as systemd with `Type=notify`.

use sd_notify::NotifyState;
use tokio::sync::watch;

use super::listening::stopped;

/// Reports that the program is ready, and that it is stopping once `stop` is set. Does nothing without a service
/// manager.
pub(super) fn report_ready(stop: watch::Receiver<bool>) {
    report(NotifyState::Ready);
    tokio::spawn(async move {
        stopped(stop).await;
        report(NotifyState::Stopping);
    });
}

fn report(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager can't be reached through NOTIFY_SOCKET");
    }
}

//! The messages to a service manager: systemd waits for them with `Type=notify`.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::harness::program::{Server, clientele, directory};

/// The socket of a service manager.
struct Manager {
    socket: UnixDatagram,
    _directory: tempfile::TempDir,
    path: String,
}

impl Manager {
    fn new() -> Self {
        let directory = directory();
        let path = directory.path().join("notify").display().to_string();
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a valid time");
        Self {
            socket,
            _directory: directory,
            path,
        }
    }

    fn next(&self) -> String {
        let mut bytes = [0; 200];
        let length = self.socket.recv(&mut bytes).expect("a message within a minute");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }
}

#[tokio::test]
async fn service_manager_hears_of_the_start_and_the_stop() {
    let manager = Manager::new();
    let server = Server::start(&[
        ("NOTIFY_SOCKET", &manager.path),
        ("CLIENTELE_SHUTDOWN_DELAY_SECONDS", "600"),
    ]);
    assert_eq!(manager.next(), "READY=1\n");
    let live = reqwest::get(format!("{}/health/live", server.address)).await;
    assert_eq!(live.expect("an answer").status(), 200);
    server.signal("TERM");
    // At the beginning of the delay in which requests are still answered.
    assert_eq!(manager.next(), "STOPPING=1\n");
    let live = reqwest::get(format!("{}/health/live", server.address)).await;
    assert_eq!(live.expect("an answer").status(), 200);
    server.signal("TERM");
    assert_eq!(server.wait().1, Some(0));
}

#[test]
fn worker_reports_to_the_service_manager() {
    let manager = Manager::new();
    let directory = directory();
    let migrated = clientele(&directory, &["migrate"], &[]).output().expect("started");
    assert!(migrated.status.success());
    for listen in [None, Some(("CLIENTELE_NOTIFICATIONS__WORKER_LISTEN", "127.0.0.1:0"))] {
        let mut command = clientele(&directory, &["worker"], &[("NOTIFY_SOCKET", &manager.path)]);
        let mut worker = command.envs(listen).spawn().expect("started");
        assert_eq!(manager.next(), "READY=1\n");
        let stopped = std::process::Command::new("kill").arg(worker.id().to_string()).status();
        assert!(stopped.expect("kill").success());
        assert_eq!(manager.next(), "STOPPING=1\n");
        assert_eq!(worker.wait().expect("ended").code(), Some(0));
    }
}

#[test]
fn missing_service_manager_stops_nothing() {
    let server = Server::start(&[("NOTIFY_SOCKET", "/nowhere/notify")]);
    server.signal("TERM");
    let (log, code) = server.wait();
    assert_eq!(code, Some(0));
    let warning = "the service manager can't be reached through NOTIFY_SOCKET";
    assert_eq!(log.matches(warning).count(), 2, "{log}");
}

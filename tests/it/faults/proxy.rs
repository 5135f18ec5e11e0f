//! A proxy between a server and PostgreSQL that cuts connections, refuses them, or goes silent.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicI32, AtomicUsize, Ordering},
    },
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream, unix::OwnedReadHalf},
    sync::watch,
};

use crate::harness::{program, require_own_cluster};

/// Messages of the protocol that ask the database to do something: Query, Parse, Bind, Execute, Sync.
const REQUESTS: &[u8] = b"QPBES";
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// The point at which a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The message doesn't arrive.
    Before,
    /// The message arrives; its answer doesn't.
    After,
    /// The message doesn't arrive, and every connection goes silent instead of ending.
    Silent,
}

/// The effect on connections, open and new ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    PassOn,
    /// They end.
    Refuse,
    /// They stay open. Bytes are accepted, and none arrives.
    Silent,
}

pub struct Proxy {
    /// Holds the socket.
    _directory: TempDir,
    state: Arc<State>,
}

struct State {
    cut: Cut,
    /// Messages until the cut; negative when there is none to come.
    countdown: AtomicI32,
    mode: watch::Sender<Mode>,
    /// The number of refused connections.
    refused: AtomicUsize,
}

impl Proxy {
    /// Listens in its own directory and forwards to the database at `url`. Returns the address of the proxy.
    pub fn start(url: &str, cut: Cut) -> (Self, String) {
        require_own_cluster();
        let (address, socket) = url.split_once("?host=").expect("the test cluster listens on a socket");
        let socket = format!("{socket}/.s.PGSQL.5432");
        let directory = program::directory();
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).expect("a socket");
        let url = format!("{address}?host={}", directory.path().display());
        let state = Arc::new(State {
            cut,
            countdown: AtomicI32::new(-1),
            mode: watch::Sender::new(Mode::PassOn),
            refused: AtomicUsize::new(0),
        });
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut mode = shared.mode.subscribe();
                let present = *mode.borrow_and_update();
                match present {
                    Mode::PassOn => {
                        let database = UnixStream::connect(&socket).await.expect("the database listens");
                        tokio::spawn(pass_on(client, database, shared.clone(), mode));
                    }
                    Mode::Refuse => {
                        shared.refused.fetch_add(1, Ordering::SeqCst);
                    }
                    Mode::Silent => {
                        tokio::spawn(async move {
                            let (mut from_client, _to_client) = client.into_split();
                            swallow(&mut from_client, &mut mode).await;
                        });
                    }
                }
            }
        });
        (
            Self {
                _directory: directory,
                state,
            },
            url,
        )
    }

    /// Cuts the connection that sends the message after this number of others.
    pub fn arm(&self, messages: i32) {
        self.state.countdown.store(messages, Ordering::SeqCst);
    }

    /// Answers whether a connection was cut.
    pub fn disarm(&self) -> bool {
        self.state.countdown.swap(-1, Ordering::SeqCst) < 0
    }

    /// Ends every connection and refuses new ones.
    pub fn go_down(&self) {
        self.state.mode.send_replace(Mode::Refuse);
    }

    /// Drops every byte from now on, in both directions, and keeps the connections open.
    pub fn go_silent(&self) {
        self.state.mode.send_replace(Mode::Silent);
    }

    /// Passes on new connections again; those that went silent end. Returns how many connections were refused.
    pub fn come_back(&self) -> usize {
        self.state.mode.send_replace(Mode::PassOn);
        self.state.refused.load(Ordering::SeqCst)
    }
}

/// Reads and drops what the client sends until it ends the connection or the silence ends.
async fn swallow(from_client: &mut OwnedReadHalf, mode: &mut watch::Receiver<Mode>) {
    let mut bytes = [0; 4096];
    let dropped = async { while from_client.read(&mut bytes).await.is_ok_and(|read| read > 0) {} };
    tokio::select! {
        () = dropped => {}
        _ = mode.wait_for(|mode| *mode != Mode::Silent) => {}
    }
}

async fn pass_on(client: UnixStream, database: UnixStream, state: Arc<State>, mut mode: watch::Receiver<Mode>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_database, mut to_database) = database.into_split();
    let requests = async {
        // The first message has no type, and if it asks for TLS neither has the second.
        let mut head = [0; 4];
        from_client.read_exact(&mut head).await?;
        let mut message = head.to_vec();
        loop {
            let length = u32::from_be_bytes(head) as usize;
            let start = message.len();
            message.resize(start + length - 4, 0);
            from_client.read_exact(&mut message[start..]).await?;
            let counts = REQUESTS.contains(&message[0]);
            let is_cut = counts
                && state.countdown.load(Ordering::SeqCst) >= 0
                && state.countdown.fetch_sub(1, Ordering::SeqCst) == 0;
            if !is_cut || state.cut == Cut::After {
                to_database.write_all(&message).await?;
            }
            let has_type = !message.ends_with(&TLS_REQUEST);
            if is_cut && state.cut == Cut::Silent {
                state.mode.send_replace(Mode::Silent);
                // The change of the mode ends this.
                std::future::pending::<()>().await;
            }
            if is_cut {
                // Later messages in the same direction are dropped.
                return io::Result::Ok(());
            }
            message.clear();
            if has_type {
                message.push(from_client.read_u8().await?);
            }
            from_client.read_exact(&mut head).await?;
            message.extend(head);
        }
    };
    let answers = tokio::io::copy(&mut from_database, &mut to_client);
    tokio::select! {
        _ = requests => return,
        _ = answers => return,
        _ = mode.changed() => {}
    }
    if *mode.borrow() == Mode::Silent {
        // The database keeps its connection, too, with the locks of an open transaction.
        swallow(&mut from_client, &mut mode).await;
    }
    // Both connections end here, as their halves go away.
}

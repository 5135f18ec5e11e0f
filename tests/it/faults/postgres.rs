//! PostgreSQL whose connection is cut at each message of an operation: before the message arrives, and before its answer does.

use std::sync::{
    Arc,
    atomic::{AtomicI32, Ordering},
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
};

use super::{
    Ledger,
    operation::{Caller, Operation},
};
use crate::{
    cli::server::{self, Server},
    harness::{Backend, TestServer},
};

/// More messages than any operation sends.
const MOST_MESSAGES: i32 = 500;
/// Messages of the protocol that ask the database to do something: Query, Parse, Bind, Execute, Sync.
const REQUESTS: &[u8] = b"QPBES";

const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// Where a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// The message doesn't arrive.
    Before,
    /// The message arrives; its answer doesn't.
    After,
}

/// Passes on what server and database say, and cuts the connection when the countdown is over.
struct Proxy {
    directory: TempDir,
    /// Messages until the cut; negative when none is to come.
    countdown: Arc<AtomicI32>,
}

impl Proxy {
    fn start(socket: String, cut: Cut) -> Self {
        let directory = server::directory();
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).expect("a socket");
        let countdown = Arc::new(AtomicI32::new(-1));
        let counting = countdown.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let database = UnixStream::connect(&socket).await.expect("the database listens");
                tokio::spawn(pass_on(client, database, cut, counting.clone()));
            }
        });
        Self { directory, countdown }
    }

    fn arm(&self, messages: i32) {
        self.countdown.store(messages, Ordering::SeqCst);
    }

    /// Answers whether a connection was cut.
    fn disarm(&self) -> bool {
        self.countdown.swap(-1, Ordering::SeqCst) < 0
    }
}

async fn pass_on(client: UnixStream, database: UnixStream, cut: Cut, countdown: Arc<AtomicI32>) {
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
            let is_cut =
                counts && countdown.load(Ordering::SeqCst) >= 0 && countdown.fetch_sub(1, Ordering::SeqCst) == 0;
            if !is_cut || cut == Cut::After {
                to_database.write_all(&message).await?;
            }
            let has_type = !message.ends_with(&TLS_REQUEST);
            if is_cut {
                // Whatever follows in the same direction doesn't matter any more.
                return std::io::Result::Ok(());
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
        _ = requests => {}
        _ = answers => {}
    }
    // Both connections end here, as their halves go away.
}

async fn every_message_is_cut(server: &TestServer, cut: Cut) {
    if server.backend == Backend::Sqlite {
        return;
    }
    let url = server.database_url();
    let (address, directory) = url.split_once("?host=").expect("the test cluster listens on a socket");
    let proxy = Proxy::start(format!("{directory}/.s.PGSQL.5432"), cut);
    let through = format!("{address}?host={}", proxy.directory.path().display());
    let process = Server::open(&[("DATABASE_URL", &*through)]);
    let caller = Caller::of(&process.address);
    caller.welcome().await;
    let mut ledger = Ledger::default();
    let mut failed = 0;
    for operation in Operation::ALL {
        for messages in 0..MOST_MESSAGES {
            proxy.arm(messages);
            let name = format!("{operation:?}{messages}").to_lowercase();
            let acknowledged = operation.run(&caller, &name).await;
            let was_cut = proxy.disarm();
            failed += usize::from(acknowledged.is_none());
            assert!(acknowledged.is_some() || was_cut, "{operation:?} failed without a cut");
            ledger.acknowledged.extend(acknowledged);
            if !was_cut {
                break;
            }
            assert!(messages < MOST_MESSAGES - 1, "the operation never ends");
        }
    }
    assert!(failed > 0, "no cut made an operation fail");
    process.signal("TERM");
    let (log, code) = process.wait();
    assert_eq!(code, Some(0), "{log}");
    ledger.assert_stored(&url).await;
}

on_both! {
    async fn connections_that_end_before_a_message_lose_nothing(server) {
        every_message_is_cut(server, Cut::Before).await;
    }

    async fn connections_that_end_before_an_answer_lose_nothing(server) {
        every_message_is_cut(server, Cut::After).await;
    }
}

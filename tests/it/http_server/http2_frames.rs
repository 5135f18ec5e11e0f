//! HTTP/2 frame by frame, for clients that violate the protocol.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{PATIENCE, connect};

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

const INITIAL_WINDOW_SIZE: u8 = 4;

#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length").to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The head of `GET path`.
pub fn get(path: &str) -> Vec<u8> {
    let mut head = vec![0x82, 0x86, 0x04, u8::try_from(path.len()).expect("short")];
    head.extend(path.as_bytes());
    head.extend([0x01, 1, b'a']);
    head
}

pub fn ask(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &get(path))
}

pub fn widen(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

pub struct Peer(TcpStream);

impl Peer {
    /// Opens HTTP/2 with a window of `window` bytes for each stream.
    pub async fn connect(address: SocketAddr, window: u32) -> Self {
        let stream = connect(address).await;
        stream.set_nodelay(true).expect("an option of every socket");
        let mut peer = Self(stream);
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let mut settings = vec![0, INITIAL_WINDOW_SIZE];
        settings.extend(window.to_be_bytes());
        hello.extend(frame(SETTINGS, 0, 0, &settings));
        peer.send(&hello).await;
        peer
    }

    /// The effect shows when something is read.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = timeout(PATIENCE, self.0.write_all(bytes))
            .await
            .expect("sent or refused");
    }

    /// The next frame; none when the connection is closed.
    pub async fn next(&mut self) -> Option<Frame> {
        timeout(PATIENCE, self.read()).await.expect("a frame or the end")
    }

    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        let stream = u32::from_be_bytes(stream);
        Some(Frame {
            kind,
            flags,
            stream,
            payload,
        })
    }

    /// The next frame of these kinds; none when the connection is closed before.
    pub async fn next_of(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            match self.next().await {
                Some(frame) if !kinds.contains(&frame.kind) => {}
                last => return last,
            }
        }
    }

    /// Reads what is sent until the connection is closed.
    pub async fn is_closed(&mut self) {
        while self.next().await.is_some() {}
    }
}

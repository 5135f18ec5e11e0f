//! The bytes between us and a mail server, so that the library reads no more of them than it may.
//!
//! A line at a time: what comes after the answer to STARTTLS stays here, where only the encryption finds it and takes
//! offence; the library would keep it and take it for answers that were encrypted. And so much at most without a word
//! of ours: the library collects an answer of any length, and reads it from its beginning after every line.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The longest answer in bytes, including what encryption adds: a hundred times what servers say.
const LONGEST_ANSWER: usize = 32 * 1024;

#[derive(Debug)]
pub(super) struct Guarded {
    tcp: TcpStream,
    /// What has been received and not been read.
    pending: Vec<u8>,
    /// What has been received since we last said something.
    received: usize,
}

impl Guarded {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            pending: Vec::new(),
            received: 0,
        }
    }

    fn receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut space = [0; 4096];
        let mut buffer = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.tcp).poll_read(context, &mut buffer))?;
        self.received += buffer.filled().len();
        if self.received > LONGEST_ANSWER {
            return Poll::Ready(Err(io::Error::other("the answer is too long")));
        }
        self.pending.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.pending.is_empty() {
            ready!(self.receive(context))?;
        }
        let line = self.pending.iter().position(|byte| *byte == b'\n');
        let length = line.map_or(self.pending.len(), |end| end + 1).min(buffer.remaining());
        buffer.put_slice(&self.pending[..length]);
        self.pending.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.received = 0;
        Pin::new(&mut self.tcp).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

impl AsyncTokioStream for Guarded {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }
}

//! Wraps the stream to a mail server and limits what the library reads from it.
//!
//! Lines are passed on one at a time: bytes after the reply to STARTTLS stay here, where TLS refuses them. The library
//! would buffer them and treat them as encrypted replies. The number of bytes received between two commands is limited:
//! the library collects a reply of any length, and parses it from the start after every line.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The maximum length of a reply in bytes, including the overhead of encryption: a hundred times that of usual replies.
const LONGEST_ANSWER: usize = 32 * 1024;

#[derive(Debug)]
pub(super) struct Guarded {
    tcp: TcpStream,
    /// Bytes received but not yet read.
    pending: Vec<u8>,
    /// Bytes received since the last command.
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

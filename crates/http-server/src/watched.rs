//! A stream that checks the bytes of a connection before the parser reads them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{activity::Activity, report::Reason};

/// A stream that ends at the first byte that the parser must not read.
#[derive(Debug)]
pub struct Watched<S, P> {
    stream: S,
    activity: Activity,
    /// Held as long as the connection is open, also after it was upgraded to another protocol.
    _permit: P,
    /// True after a byte that the parser must not read.
    is_unsound: bool,
}

impl<S, P> Watched<S, P> {
    pub fn new(stream: S, activity: Activity, permit: P) -> Self {
        Self {
            stream,
            activity,
            _permit: permit,
            is_unsound: false,
        }
    }
}

impl<S: AsyncRead + Unpin, P: Unpin> AsyncRead for Watched<S, P> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.is_unsound {
            return Poll::Ready(Err(io::Error::other(Reason::Malformed)));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let received = &buffer.filled()[before..];
        if !received.is_empty() {
            let sound = self.activity.received(received).map_err(io::Error::other)?;
            self.is_unsound = sound < received.len();
            if sound == 0 {
                // Reading nothing would look like the end of the stream.
                return Poll::Ready(Err(io::Error::other(Reason::Malformed)));
            }
            buffer.set_filled(before + sound);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin, P: Unpin> AsyncWrite for Watched<S, P> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

//! A connection to an endpoint, plaintext or over TLS.

use crate::transport::Transport;
use crate::upstream::tls::Connector;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// Connection for one request at a time.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls {
        stream: Box<TlsStream<TcpStream>>,
        /// Connector whose requirements the endpoint has met; the connection is good for no other.
        proved: Arc<Connector>,
    },
}

impl Transport for Stream {
    fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls { stream, .. } => stream.get_ref().0,
        }
    }
}

impl Stream {
    /// Connector whose requirements the endpoint has met; `None` without TLS.
    pub(crate) fn proved(&self) -> Option<&Arc<Connector>> {
        match self {
            Self::Plain(_) => None,
            Self::Tls { proved, .. } => Some(proved),
        }
    }

    /// Returns whether HTTP/2 is in use: negotiated over TLS, by prior knowledge in plaintext (RFC 9113
    /// 3.3).
    pub(crate) fn may_speak_http2(&self) -> bool {
        match self {
            Self::Plain(_) => true,
            Self::Tls { stream, .. } => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// Returns whether the reactor has heard anything, which costs no system call. It may be what was
    /// read already, and it may be behind.
    pub(crate) fn has_news(&self) -> bool {
        let mut noop = Context::from_waker(Waker::noop());
        self.tcp().poll_read_ready(&mut noop).is_ready()
    }

    /// Nothing has arrived for us and the peer has not closed. Asks the kernel: what the reactor
    /// knows may be older than a byte that already waits.
    pub(crate) fn is_quiet(&mut self) -> bool {
        if let Self::Tls { stream, .. } = self {
            // Session tickets come when the endpoint likes (RFC 8446 4.6.1), and are no answer.
            let mut byte = [0];
            let mut noop = Context::from_waker(Waker::noop());
            let mut read = ReadBuf::new(&mut byte);
            if Pin::new(stream).poll_read(&mut noop, &mut read).is_ready() {
                return false;
            }
        }
        let mut byte = [0];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(self.tcp(), &mut byte, flags), Err(Errno::AGAIN))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls { stream, .. } => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls { stream, .. } => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls { stream, .. } => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls { stream, .. } => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

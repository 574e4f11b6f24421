//! The transport below a connection of a client or to an endpoint.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// A byte stream over TCP.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// The connection below.
    fn tcp(&self) -> &TcpStream;

    /// Returns whether unread bytes have arrived. Asks the kernel: of a connection that was
    /// registered a moment ago the reactor knows nothing yet.
    fn has_unread(&self) -> bool {
        let mut byte = [0];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(self.tcp(), &mut byte, flags), Ok((1.., _)))
    }

    /// Returns whether the connection is reset. Asks the kernel, which knows even while bytes wait to be read.
    fn is_reset(&self) -> bool {
        let mut watched = [PollFd::new(self.tcp(), PollFlags::empty())];
        let none = Timespec::default();
        let found = poll(&mut watched, Some(&none)).is_ok_and(|count| count > 0);
        found
            && watched
                .iter()
                .any(|watched| watched.revents().contains(PollFlags::ERR))
    }

    /// Makes the next close a reset: a message that was broken off must not look complete, and nothing waits
    /// in the kernel to be taken.
    fn reset_on_close(&self) {
        // Were it to fail, the connection is gone already.
        let _ = self.tcp().set_zero_linger();
    }
}

impl Transport for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Transport for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

//! A client that sends exactly the given bytes.

use crate::protocols::{self, Protocols};
use crate::soon;
use portolan_discovery::table::UpstreamProtocol;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// One connection.
pub(crate) struct Client {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// One response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// With its empty line.
    pub(crate) head: String,
    /// Without its coding.
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let prefix = format!("{}: ", name.to_ascii_lowercase());
        let mut found = self
            .head
            .split("\r\n")
            .filter(|line| line.to_ascii_lowercase().starts_with(&prefix))
            .map(|line| &line[prefix.len()..]);
        found.next().filter(|_| found.next().is_none())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn reason(&self) -> &str {
        self.field("x-portolan-reason").unwrap_or_default()
    }
}

impl Client {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        let stream = soon("connecting", TcpStream::connect(to)).await.unwrap();
        Self::speaking(Protocols::of_this_test().down, stream, false).await
    }

    /// Speaks this over a connection that is there.
    pub(crate) async fn speaking(
        protocol: UpstreamProtocol,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        secure: bool,
    ) -> Self {
        match protocol {
            UpstreamProtocol::Http1 => Self::over(stream),
            UpstreamProtocol::Http2 => Self::over(protocols::client(stream, secure).await),
        }
    }

    pub(crate) fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            buffer: Vec::new(),
        }
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        soon("sending", async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        })
        .await
    }

    /// Says that nothing more will come.
    pub(crate) async fn finish(&mut self) {
        soon("shutting down", self.stream.shutdown()).await.unwrap();
    }

    /// A GET for `/` of a host, and its response.
    pub(crate) async fn get(&mut self, host: &str) -> Response {
        self.get_path(host, "/").await
    }

    pub(crate) async fn get_path(&mut self, host: &str, path: &str) -> Response {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        self.response().await
    }

    pub(crate) async fn response(&mut self) -> Response {
        self.try_response(false).await.unwrap()
    }

    pub(crate) async fn response_to_head(&mut self) -> Response {
        self.try_response(true).await.unwrap()
    }

    /// An error when the connection ends before the response does.
    pub(crate) async fn try_response(&mut self, to_head: bool) -> io::Result<Response> {
        soon("a response", self.read_response(to_head)).await
    }

    /// Reads everything until the connection ends, by whatever means.
    pub(crate) async fn rest(&mut self) -> (Vec<u8>, io::Result<()>) {
        soon("the end of the connection", async {
            loop {
                match self.stream.read_buf(&mut self.buffer).await {
                    Ok(0) => return (std::mem::take(&mut self.buffer), Ok(())),
                    Ok(_) => {}
                    Err(error) => return (std::mem::take(&mut self.buffer), Err(error)),
                }
            }
        })
        .await
    }

    /// The connection was ended without another byte.
    pub(crate) async fn is_closed(&mut self) {
        let (rest, _) = self.rest().await;
        assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    }

    pub(crate) async fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < count {
            self.more().await?;
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// Waits until so many bytes have come that no response was made of yet.
    pub(crate) async fn has_at_least(&mut self, count: usize) {
        while self.buffer.len() < count {
            self.more().await.unwrap();
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Reads up to and including these bytes.
    pub(crate) async fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            let found = self.buffer.windows(end.len()).position(|it| it == end);
            if let Some(at) = found {
                return Ok(self.buffer.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn read_response(&mut self, to_head: bool) -> io::Result<Response> {
        let head = String::from_utf8(self.until(b"\r\n\r\n").await?).unwrap();
        let status = head[9..12].parse().unwrap();
        let mut response = Response {
            status,
            head,
            body: Vec::new(),
        };
        if to_head || matches!(status, 100..200 | 204 | 304) {
            return Ok(response);
        }
        if response.field("transfer-encoding") == Some("chunked") {
            loop {
                let line = String::from_utf8(self.until(b"\r\n").await?).unwrap();
                let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
                response.body.extend(self.exactly(size).await?);
                let end = self.until(b"\r\n").await?;
                if size == 0 {
                    // The trailer section, if there is one, is part of what a test looks at.
                    let mut line = end;
                    while line != b"\r\n" {
                        response.head.push_str(std::str::from_utf8(&line).unwrap());
                        line = self.until(b"\r\n").await?;
                    }
                    return Ok(response);
                }
                assert_eq!(end, b"\r\n");
            }
        }
        match response.field("content-length") {
            Some(length) => {
                let length = length.parse().unwrap();
                response.body = self.exactly(length).await?;
            }
            None => {
                let (rest, ended) = self.rest().await;
                ended?;
                response.body = rest;
            }
        }
        Ok(response)
    }
}

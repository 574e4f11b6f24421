//! HTTP/1.1, read strictly: what is no request is recorded as such.

use super::{Behaviour, Received, Shared};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Why a connection is not read on.
enum End {
    /// The other side has closed it.
    Closed,
    Malformed(String),
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Closed
    }
}

pub(super) async fn serve(stream: TcpStream, shared: &Shared) {
    let mut connection = Connection {
        stream,
        buffer: Vec::new(),
        shared,
    };
    if let Err(End::Malformed(what)) = connection.hold().await {
        shared.log().malformed.push(what);
    }
}

struct Connection<'a> {
    stream: TcpStream,
    buffer: Vec<u8>,
    shared: &'a Shared,
}

impl Connection<'_> {
    async fn hold(&mut self) -> Result<(), End> {
        loop {
            let mut received = self.head().await?;
            match Behaviour::of(&received.path) {
                Behaviour::Stuck => {
                    self.shared.request(received);
                    let _open = self.shared.open();
                    // Closing is noticed without reading what is there.
                    let gone = async {
                        loop {
                            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                            let closed = self.stream.ready(tokio::io::Interest::READABLE).await;
                            if closed.is_ok_and(|ready| ready.is_read_closed() || ready.is_error())
                            {
                                break;
                            }
                        }
                    };
                    gone.await;
                    return Err(End::Closed);
                }
                Behaviour::Nothing => {
                    self.shared.request(received);
                    let _open = self.shared.open();
                    loop {
                        self.more().await?;
                    }
                }
                Behaviour::Bytes(count) => {
                    self.body(&mut received).await?;
                    self.shared.request(received);
                    let _open = self.shared.open();
                    self.answer(&vec![b'x'; count]).await?;
                }
                Behaviour::Short => {
                    self.body(&mut received).await?;
                    self.shared.request(received);
                    self.answer(b"short\n").await?;
                }
            }
        }
    }

    async fn answer(&mut self, body: &[u8]) -> Result<(), End> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        self.stream.write_all(head.as_bytes()).await?;
        Ok(self.stream.write_all(body).await?)
    }

    async fn head(&mut self) -> Result<Received, End> {
        let bytes = self.until(b"\r\n\r\n").await?;
        let shown = || bytes.escape_ascii().to_string();
        let text = std::str::from_utf8(&bytes).map_err(|_| End::Malformed(shown()))?;
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let line: Vec<_> = lines.next().unwrap_or_default().split(' ').collect();
        let [method, path, "HTTP/1.1"] = line[..] else {
            return Err(End::Malformed(shown()));
        };
        let fields = lines.map(field).collect::<Option<_>>();
        Ok(Received {
            method: method.into(),
            path: path.into(),
            fields: fields.ok_or_else(|| End::Malformed(shown()))?,
            ..Received::default()
        })
    }

    async fn body(&mut self, received: &mut Received) -> Result<(), End> {
        let coding = received.values("transfer-encoding").join(",");
        let lengths = received.values("content-length").join(",");
        match (&*coding, &*lengths) {
            ("", "") => Ok(()),
            ("", length) => {
                let length = length
                    .parse()
                    .map_err(|_| End::Malformed(lengths.clone()))?;
                received.body = self.exactly(length).await?;
                Ok(())
            }
            ("chunked", "") => self.chunks(received).await,
            _ => Err(End::Malformed(format!("{:?}", received.fields))),
        }
    }

    async fn chunks(&mut self, received: &mut Received) -> Result<(), End> {
        loop {
            let line = self.until(b"\r\n").await?;
            let shown = || End::Malformed(line.escape_ascii().to_string());
            let text = std::str::from_utf8(&line).map_err(|_| shown())?;
            let size = usize::from_str_radix(text.trim_end(), 16).map_err(|_| shown())?;
            if size == 0 {
                break;
            }
            let data = self.exactly(size).await?;
            received.body.extend(data);
            if self.exactly(2).await? != b"\r\n" {
                return Err(End::Malformed("more than a chunk says".into()));
            }
        }
        loop {
            let line = self.until(b"\r\n").await?;
            let text = String::from_utf8_lossy(&line);
            match text.trim_end_matches("\r\n") {
                "" => return Ok(()),
                line => received.trailers.extend(field(line)),
            }
        }
    }

    async fn more(&mut self) -> Result<(), End> {
        let count = self.stream.read_buf(&mut self.buffer).await?;
        self.shared.log().bytes += count as u64;
        if count == 0 { Err(End::Closed) } else { Ok(()) }
    }

    async fn until(&mut self, end: &[u8]) -> Result<Vec<u8>, End> {
        loop {
            if let Some(at) = self
                .buffer
                .windows(end.len())
                .position(|window| window == end)
            {
                return Ok(self.buffer.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    async fn exactly(&mut self, count: usize) -> Result<Vec<u8>, End> {
        while self.buffer.len() < count {
            self.more().await?;
        }
        Ok(self.buffer.drain(..count).collect())
    }
}

/// A field line: a token, a colon, a value without controls.
fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let clean = !name.is_empty() && name.bytes().all(token) && !value.contains(['\r', '\n', '\0']);
    clean.then(|| (name.to_ascii_lowercase(), value.trim().to_owned()))
}

//! tungstenite, in this process.

use super::plan::{self, Plan};
use super::{Account, Amount, Outcome, Scheme};
use anyhow::{Result, bail, ensure};
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use portolan_clients::proxy::Proxy;
use portolan_clients::{PLAIN_HOST, TLS_HOST};
use rustls::pki_types::ServerName;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{WebSocketStream, accept_async_with_config, client_async_with_config};

/// Either transport.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection through the proxy.
pub(super) type Socket = WebSocketStream<Box<dyn Stream>>;

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(128 << 20))
        .max_frame_size(Some(128 << 20))
}

/// Connects through the proxy and shakes hands.
pub(super) async fn connect(proxy: &Proxy, scheme: Scheme) -> Result<Socket> {
    let (stream, url): (Box<dyn Stream>, _) = match scheme {
        Scheme::Ws => {
            let stream = TcpStream::connect(proxy.http).await?;
            (Box::new(stream), format!("ws://{PLAIN_HOST}/"))
        }
        Scheme::Wss => {
            let stream = TcpStream::connect(proxy.https).await?;
            let connector = TlsConnector::from(Arc::new(proxy.authority.client_config()?));
            let name = ServerName::try_from(TLS_HOST)?;
            let stream = connector.connect(name, stream).await?;
            (Box::new(stream), format!("wss://{TLS_HOST}/"))
        }
    };
    let (socket, response) = client_async_with_config(url, stream, Some(config())).await?;
    ensure!(response.status() == 101, "{response:?}");
    Ok(socket)
}

/// Sends the messages of the plan, takes what comes back, and closes at once when all is sent.
pub(super) async fn client(
    proxy: &Proxy,
    scheme: Scheme,
    seed: u32,
    amount: Amount,
) -> Result<Outcome> {
    let (to, from) = connect(proxy, scheme).await?.split();
    let last_ping = AtomicUsize::new(0);
    let plan = Plan::new(seed, amount);
    let (sent_sum, mut outcome) = tokio::try_join!(
        send_all(to, plan, &last_ping),
        take_all(from, amount, &last_ping)
    )?;
    outcome.sent_sum = sent_sum;
    outcome.pings = last_ping.into_inner();
    Ok(outcome)
}

async fn send_all(
    mut to: SplitSink<Socket, Message>,
    mut plan: Plan,
    last_ping: &AtomicUsize,
) -> Result<String> {
    let mut account = Account::default();
    while let Some(message) = plan.next() {
        account.add(message.binary, &message.data);
        let count = message.frames;
        for index in 0..count {
            to.send(Message::Frame(frame(&message, index))).await?;
            if plan.pings() {
                let number = last_ping.fetch_add(1, Ordering::Relaxed) + 1;
                to.send(Message::Ping(number.to_string().into())).await?;
            }
        }
    }
    to.send("sum".into()).await?;
    // Nothing more is sent; what is under way still comes, then the other side's Close
    // (RFC 6455, 5.5.1).
    let close = CloseFrame {
        code: CloseCode::Normal,
        reason: "".into(),
    };
    to.send(Message::Close(Some(close))).await?;
    Ok(account.sum())
}

fn frame(message: &plan::Message, index: usize) -> Frame {
    let at = |index| message.data.len() * index / message.frames;
    let part = message.data.slice(at(index)..at(index + 1));
    let kind = match (index, message.binary) {
        (0, true) => Data::Binary,
        (0, false) => Data::Text,
        _ => Data::Continue,
    };
    Frame::message(part, OpCode::Data(kind), index + 1 == message.frames)
}

async fn take_all(
    mut from: SplitStream<Socket>,
    amount: Amount,
    last_ping: &AtomicUsize,
) -> Result<Outcome> {
    let mut account = Account::default();
    let (mut pongs, mut last_pong, mut summary, mut code) = (0, Bytes::new(), None, 0);
    while let Some(message) = from.next().await {
        match message? {
            Message::Text(text) if account.messages == amount.messages => {
                summary = Some(serde_json::from_str(&text)?);
            }
            Message::Text(text) => account.add(false, text.as_bytes()),
            Message::Binary(data) => account.add(true, &data),
            Message::Pong(data) => {
                pongs += 1;
                last_pong = data;
            }
            Message::Close(frame) => code = frame.map_or(1005, |frame| frame.code.into()),
            Message::Ping(_) | Message::Frame(_) => {}
        }
    }
    let last_ping = last_ping.load(Ordering::Relaxed).to_string();
    Ok(Outcome {
        received: account.messages,
        pings: 0,
        pongs,
        last_pong_is_last_ping: last_pong == last_ping,
        summary,
        extensions: String::new(),
        code,
        sent_sum: String::new(),
        received_sum: account.sum(),
    })
}

/// A server; it ends with this value.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    serving: JoinHandle<Result<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self {
            address: listener.local_addr()?,
            serving: tokio::spawn(async move {
                let (stream, _) = listener.accept().await?;
                echo(accept_async_with_config(stream, Some(config())).await?).await
            }),
        })
    }
}

/// Echoes every message, and sends a summary at the end.
async fn echo(mut socket: WebSocketStream<TcpStream>) -> Result<()> {
    let mut account = Account::default();
    let mut pongs = 0;
    while let Some(message) = socket.next().await {
        let (binary, data) = match message? {
            Message::Text(text) if text == "sum" => {
                let total = std::mem::take(&mut account);
                let summary = json!({
                    "messages": total.messages,
                    "pongs": pongs,
                    "sha256": total.sum(),
                });
                socket.send(summary.to_string().into()).await?;
                continue;
            }
            Message::Text(text) => (false, Bytes::from(text)),
            Message::Binary(data) => (true, data),
            Message::Pong(_) => {
                pongs += 1;
                continue;
            }
            Message::Ping(_) | Message::Close(_) => continue,
            Message::Frame(_) => bail!("a single frame is never read"),
        };
        account.add(binary, &data);
        if account.messages % 500 == 0 {
            socket.send(Message::Ping("server".into())).await?;
        }
        // Some come back in two fragments, whatever they came in.
        let fragmented = data.len() % 7 == 3 && data.len() > 1;
        let back = plan::Message {
            binary,
            data,
            frames: if fragmented { 2 } else { 1 },
        };
        for index in 0..back.frames {
            socket.send(Message::Frame(frame(&back, index))).await?;
        }
    }
    Ok(())
}

//! Which ports are open: sockets are bound here, for all workers together, and handed out.

use crate::worker::mail::OpenListener;
use portolan_discovery::table::{self, Protocol};
use socket2::{Domain, Socket, Type};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};

/// How many connections may wait to be accepted, per socket; the kernel caps it (`somaxconn`).
const BACKLOG: i32 = 4096;

/// The open listeners.
#[derive(Debug)]
pub(crate) struct Listeners {
    addresses: Vec<IpAddr>,
    workers: usize,
    open: HashMap<String, (u16, Protocol)>,
}

/// Result of opening a listener.
#[derive(Debug)]
pub(crate) enum Opening {
    /// It is open already.
    Unchanged,
    /// One for each worker.
    Open(Vec<OpenListener>),
}

impl Listeners {
    pub(crate) fn new(addresses: Vec<IpAddr>, workers: usize) -> Self {
        Self {
            addresses,
            workers,
            open: HashMap::new(),
        }
    }

    /// Binds a listener on every address, once for each worker: the kernel spreads connections
    /// over the sockets of one address (SO_REUSEPORT), which therefore open and close together.
    ///
    /// # Errors
    /// The sentence that refuses this listener; the others are not concerned.
    pub(crate) fn open(&mut self, listener: &table::Listener) -> Result<Opening, String> {
        let wanted = (listener.port, listener.protocol);
        if self.open.get(&listener.name) == Some(&wanted) {
            return Ok(Opening::Unchanged);
        }
        let mut opened: Vec<OpenListener> = (0..self.workers)
            .map(|_| OpenListener {
                name: listener.name.clone(),
                protocol: listener.protocol,
                sockets: Vec::new(),
            })
            .collect();
        for address in &self.addresses {
            let at = SocketAddr::new(*address, listener.port);
            for open in &mut opened {
                match bind(at) {
                    Ok(socket) => open.sockets.push(socket),
                    // A node without IPv6 serves IPv4.
                    Err(error) if is_absent_family(&error) && self.addresses.len() > 1 => {}
                    Err(error) => return Err(format!("port: {at} cannot be bound: {error}")),
                }
            }
        }
        if opened.iter().any(|open| open.sockets.is_empty()) {
            return Err("port: no address family of this host can be bound".to_owned());
        }
        self.open.insert(listener.name.clone(), wanted);
        Ok(Opening::Open(opened))
    }

    /// Forgets a listener, which the workers close.
    pub(crate) fn close(&mut self, name: &str) -> bool {
        self.open.remove(name).is_some()
    }

    /// Where a client on this host reaches the listener that terminates TLS.
    pub(crate) fn https_address(&self) -> Option<SocketAddr> {
        let (port, _) = self
            .open
            .values()
            .find(|(_, protocol)| *protocol == Protocol::Https)?;
        let address = match self.addresses.first()? {
            IpAddr::V4(address) if address.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(address) if address.is_unspecified() => {
                IpAddr::from(std::net::Ipv6Addr::LOCALHOST)
            }
            address => *address,
        };
        Some(SocketAddr::new(address, *port))
    }
}

fn bind(at: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, None)?;
    if at.is_ipv6() {
        // Each family has a socket of its own, so that neither depends on the other.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    // For the connections, which inherit it on Linux: responses are written whole and must not wait for
    // acknowledgements (RFC 896).
    socket.set_tcp_nodelay(true)?;
    socket.bind(&at.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn is_absent_family(error: &io::Error) -> bool {
    let absent = [
        rustix::io::Errno::AFNOSUPPORT,
        rustix::io::Errno::ADDRNOTAVAIL,
    ];
    let code = error.raw_os_error();
    absent
        .iter()
        .any(|errno| code == Some(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(port: u16) -> table::Listener {
        table::Listener {
            name: "http".into(),
            port,
            protocol: Protocol::Http,
        }
    }

    #[test]
    fn each_worker_gets_a_socket_of_its_own_on_one_port() {
        let mut listeners = Listeners::new(vec![IpAddr::from([127, 0, 0, 1])], 2);
        let port = {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        };
        let Ok(Opening::Open(opened)) = listeners.open(&listener(port)) else {
            panic!("not opened");
        };
        assert_eq!(opened.len(), 2);
        assert!(matches!(
            listeners.open(&listener(port)),
            Ok(Opening::Unchanged)
        ));
    }

    #[test]
    fn what_is_accepted_does_not_wait_for_acknowledgements() {
        let listening = bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listening.local_addr().unwrap();
        let _client = std::net::TcpStream::connect(address).unwrap();
        listening.set_nonblocking(false).unwrap();
        let (accepted, _) = listening.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
    }

    #[test]
    fn rejects_a_port_in_use_by_name() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut listeners = Listeners::new(vec![IpAddr::from([127, 0, 0, 1])], 1);
        let port = taken.local_addr().unwrap().port();
        let refusal = listeners.open(&listener(port)).unwrap_err();
        assert!(refusal.starts_with("port: 127.0.0.1:"), "{refusal}");
        assert!(!listeners.close("http"));
    }
}

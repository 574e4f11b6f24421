//! A scripted name server that records its queries.

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::SOA;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Answer to every query.
#[derive(Clone, Debug)]
pub(crate) enum Says {
    /// These addresses, for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// There is no such name (NXDOMAIN).
    NoSuchName,
    /// The server is in trouble (SERVFAIL).
    Trouble,
    /// Nothing at all.
    Nothing,
}

/// A running name server; it ends with this value.
pub(crate) struct NameServer {
    pub(crate) address: SocketAddr,
    says: Arc<Mutex<(Says, Vec<String>)>>,
    answering: JoinHandle<()>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.answering.abort();
    }
}

impl NameServer {
    pub(crate) async fn start(says: Says) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let says = Arc::new(Mutex::new((says, Vec::new())));
        let shared = Arc::clone(&says);
        let answering = tokio::spawn(async move {
            let mut buffer = vec![0; 1500];
            loop {
                let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let asked = query.queries[0].name().to_string();
                let says = {
                    let mut shared = shared.lock().unwrap();
                    shared.1.push(asked);
                    shared.0.clone()
                };
                if let Some(answer) = answer(&query, says) {
                    socket
                        .send_to(&answer.to_vec().unwrap(), from)
                        .await
                        .unwrap();
                }
            }
        });
        Self {
            address,
            says,
            answering,
        }
    }

    pub(crate) fn says(&self, says: Says) {
        self.says.lock().unwrap().0 = says;
    }

    /// The names that were asked for.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.says.lock().unwrap().1.clone()
    }
}

fn answer(query: &Message, says: Says) -> Option<Message> {
    let mut answer = Message::response(query.metadata.id, OpCode::Query);
    let asked = query.queries[0].clone();
    let name = asked.name().clone();
    match says {
        Says::Nothing => return None,
        Says::Trouble => answer.metadata.response_code = ResponseCode::ServFail,
        Says::NoSuchName => {
            answer.metadata.response_code = ResponseCode::NXDomain;
            let soa = SOA::new(Name::root(), Name::root(), 1, 1, 1, 1, 1);
            answer.add_authority(Record::from_rdata(Name::root(), 1, RData::SOA(soa)));
        }
        Says::Addresses(addresses, ttl) => {
            for address in addresses {
                let data = match address {
                    IpAddr::V4(address) => RData::A(address.into()),
                    IpAddr::V6(address) => RData::AAAA(address.into()),
                };
                let is_of_family = |kind: RecordType| kind == asked.query_type();
                if is_of_family(data.record_type()) {
                    answer.add_answer(Record::from_rdata(name.clone(), ttl, data));
                }
            }
        }
    }
    answer.add_query(asked);
    Some(answer)
}

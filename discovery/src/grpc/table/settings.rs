//! Listeners, and the settings of a class.

use super::endpoints::port;
use crate::grpc::generated as proto;
use crate::grpc::wire::{Problem, WireError};
use crate::table::{ClassSettings, Listener, Protocol, TicketSeed};

impl From<ClassSettings> for proto::ClassSettings {
    fn from(it: ClassSettings) -> Self {
        let seeds = it.ticket_seeds.into_iter();
        Self {
            default_certificate: it.default_certificate,
            ticket_seeds: seeds.map(|TicketSeed(bytes)| bytes.to_vec()).collect(),
            denied_cidrs: it.denied_cidrs,
        }
    }
}

impl TryFrom<proto::ClassSettings> for ClassSettings {
    type Error = WireError;

    fn try_from(it: proto::ClassSettings) -> Result<Self, WireError> {
        let seed = |(index, bytes): (usize, Vec<u8>)| {
            let bytes = bytes.try_into();
            bytes
                .map(TicketSeed)
                .map_err(|_| WireError::new(&format!("ticket_seeds[{index}]"), Problem::TicketSeed))
        };
        let seeds = it.ticket_seeds.into_iter().enumerate().map(seed);
        Ok(Self {
            default_certificate: it.default_certificate,
            ticket_seeds: seeds.collect::<Result<_, _>>()?,
            denied_cidrs: it.denied_cidrs,
        })
    }
}

impl From<Listener> for proto::Listener {
    fn from(it: Listener) -> Self {
        let protocol = match it.protocol {
            Protocol::Http => proto::Protocol::Http,
            Protocol::Https => proto::Protocol::Https,
        };
        Self {
            name: it.name,
            port: it.port.into(),
            protocol: protocol.into(),
        }
    }
}

impl TryFrom<proto::Listener> for Listener {
    type Error = WireError;

    fn try_from(it: proto::Listener) -> Result<Self, WireError> {
        let protocol = match it.protocol() {
            proto::Protocol::Http => Protocol::Http,
            proto::Protocol::Https => Protocol::Https,
            proto::Protocol::Unspecified => {
                return Err(WireError::new("protocol", Problem::Unknown));
            }
        };
        Ok(Self {
            port: port("port", it.port)?,
            name: it.name,
            protocol,
        })
    }
}

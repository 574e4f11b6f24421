//! Converts listeners and the settings of a class.

use super::endpoints::port;
use crate::grpc::generated as proto;
use crate::grpc::wire::{Problem, WireError};
use crate::table::{ClassSettings, Listener, Protocol, TicketSeed};

impl From<ClassSettings> for proto::ClassSettings {
    fn from(settings: ClassSettings) -> Self {
        let seeds = settings.ticket_seeds.into_iter();
        Self {
            default_certificate: settings.default_certificate,
            ticket_seeds: seeds.map(|TicketSeed(bytes)| bytes.to_vec()).collect(),
            denied_cidrs: settings.denied_cidrs,
        }
    }
}

impl TryFrom<proto::ClassSettings> for ClassSettings {
    type Error = WireError;

    fn try_from(settings: proto::ClassSettings) -> Result<Self, WireError> {
        let seed = |(index, bytes): (usize, Vec<u8>)| {
            let bytes = bytes.try_into();
            bytes
                .map(TicketSeed)
                .map_err(|_| WireError::new(&format!("ticket_seeds[{index}]"), Problem::TicketSeed))
        };
        let seeds = settings.ticket_seeds.into_iter().enumerate().map(seed);
        Ok(Self {
            default_certificate: settings.default_certificate,
            ticket_seeds: seeds.collect::<Result<_, _>>()?,
            denied_cidrs: settings.denied_cidrs,
        })
    }
}

impl From<Listener> for proto::Listener {
    fn from(listener: Listener) -> Self {
        let protocol = match listener.protocol {
            Protocol::Http => proto::Protocol::Http,
            Protocol::Https => proto::Protocol::Https,
        };
        Self {
            name: listener.name,
            port: listener.port.into(),
            protocol: protocol.into(),
        }
    }
}

impl TryFrom<proto::Listener> for Listener {
    type Error = WireError;

    fn try_from(listener: proto::Listener) -> Result<Self, WireError> {
        let protocol = match listener.protocol() {
            proto::Protocol::Http => Protocol::Http,
            proto::Protocol::Https => Protocol::Https,
            proto::Protocol::Unspecified => {
                return Err(WireError::new("protocol", Problem::Unknown));
            }
        };
        Ok(Self {
            port: port("port", listener.port)?,
            name: listener.name,
            protocol,
        })
    }
}

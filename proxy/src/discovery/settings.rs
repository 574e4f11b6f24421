//! Settings of the subscriber, and the address of the operators.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;

/// Where the operators are: a name that resolves to all of them, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorAddress {
    pub(super) host: String,
    pub(super) port: u16,
}

/// Why a text is no [`OperatorAddress`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error(
    "{0:?} is not an operator address; use HOST:PORT, such as `portolan-discovery.portolan-system.svc:9443`"
)]
pub struct OperatorAddressError(String);

impl FromStr for OperatorAddress {
    type Err = OperatorAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || OperatorAddressError(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let inner = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let host = inner.unwrap_or(host);
        let bare_v6 = inner.is_none() && host.contains(':');
        let bracketed_name = inner.is_some() && host.parse::<IpAddr>().is_err();
        let port = port.parse().map_err(|_| error())?;
        if host.is_empty() || bare_v6 || bracketed_name || port == 0 {
            return Err(error());
        }
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

/// Settings of the subscriber.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The ExposeClass whose proxy this is.
    pub class: String,
    /// The headless Service of the operators; their certificates bear its name.
    pub discovery: OperatorAddress,
    /// The projected token, read for each connection.
    pub token_file: PathBuf,
    /// The authorities to trust, PEM, read for each connection.
    pub ca_file: PathBuf,
    /// A folder in memory that lives as long as the pod.
    pub snapshot_dir: PathBuf,
    /// `metadata.name` of the pod.
    pub pod_name: String,
    /// `metadata.uid` of the pod.
    pub pod_uid: String,
}

impl Settings {
    pub(super) fn host(&self) -> &str {
        &self.discovery.host
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_address_is_a_host_and_a_port() {
        for (text, host, port) in [
            (
                "portolan-discovery.portolan-system.svc:9443",
                "portolan-discovery.portolan-system.svc",
                9443,
            ),
            ("10.0.0.1:1", "10.0.0.1", 1),
            ("[fd00::1]:9443", "fd00::1", 9443),
        ] {
            let expected = OperatorAddress {
                host: host.into(),
                port,
            };
            assert_eq!(text.parse(), Ok(expected));
        }
        for text in [
            "",
            "host",
            "host:",
            ":1",
            "host:0",
            "host:65536",
            "fd00::1",
            "[host]:1",
        ] {
            let error = Err(OperatorAddressError(text.to_owned()));
            assert_eq!(text.parse::<OperatorAddress>(), error);
        }
    }
}

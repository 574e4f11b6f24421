//! Flags over `PORTOLAN_*` over defaults; there is no configuration file.

use crate::discovery::{self, OperatorAddress};
use crate::memory::limit;
use crate::telemetry::access_log::AccessLogFormat;
use crate::telemetry::logs::LogFormat;
use clap::Parser;
use portolan_proxy_core::via::Pseudonym;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Serves HTTPS and HTTP for one ExposeClass, straight to the pods, as the Portolan operator configures it
#[derive(Clone, Debug, Parser)]
#[command(name = "portolan-proxy", version, max_term_width = 100)]
pub struct Options {
    /// The ExposeClass to serve
    #[arg(long, env = "PORTOLAN_CLASS")]
    pub class: String,
    /// Headless Service of the operators, and its port
    #[arg(long, env = "PORTOLAN_DISCOVERY", value_name = "HOST:PORT")]
    pub discovery: OperatorAddress,
    /// Projected service account token (audience portolan-discovery) for the operators
    #[arg(long, env = "PORTOLAN_TOKEN_FILE", value_name = "FILE")]
    pub token_file: PathBuf,
    /// Certificate authorities that the operators' certificates are verified against, PEM
    #[arg(long, env = "PORTOLAN_CA_FILE", value_name = "FILE")]
    pub ca_file: PathBuf,
    /// Directory in memory where the state survives a restart of the container
    #[arg(long, env = "PORTOLAN_SNAPSHOT_DIR", value_name = "FOLDER")]
    pub snapshot_dir: PathBuf,
    /// The name of this pod
    #[arg(long, env = "PORTOLAN_POD_NAME", value_name = "NAME")]
    pub pod_name: String,
    /// The UID of this pod
    #[arg(long, env = "PORTOLAN_POD_UID", value_name = "UID")]
    pub pod_uid: String,
    /// Number of worker threads. Defaults to one per CPU of the limit, at most 4
    #[arg(long, env = "PORTOLAN_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
    /// Addresses that listeners bind to; their ports come from the operator
    #[arg(
        long,
        env = "PORTOLAN_LISTEN_ADDRESS",
        value_name = "IP",
        value_delimiter = ',',
        default_value = "0.0.0.0,::"
    )]
    pub listen_address: Vec<IpAddr>,
    /// Address that serves /metrics, /livez and /readyz
    #[arg(
        long,
        env = "PORTOLAN_ADMIN_ADDRESS",
        value_name = "IP:PORT",
        default_value = "[::]:9090"
    )]
    pub admin_address: SocketAddr,
    /// DNS servers for the names of ExternalName Services. Defaults to those of /etc/resolv.conf
    #[arg(
        long,
        env = "PORTOLAN_NAME_SERVERS",
        value_name = "IP:PORT",
        value_delimiter = ','
    )]
    pub name_servers: Vec<SocketAddr>,
    /// Time that connections are still accepted after SIGTERM, such as 15s
    #[arg(long, env = "PORTOLAN_DRAIN_DELAY", value_name = "DURATION", value_parser = duration, default_value = "15s")]
    pub drain_delay: Duration,
    /// Time that requests in flight may take after that
    #[arg(long, env = "PORTOLAN_DRAIN_TIMEOUT", value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub drain_timeout: Duration,
    /// Memory limit of the process, such as 512Mi. Defaults to the limit of the container. At 80 %
    /// bodies are throttled, at 90 % requests are rejected, at 95 % no connection is accepted
    #[arg(long, env = "PORTOLAN_MEMORY_LIMIT", value_name = "BYTES", value_parser = limit::parse)]
    pub memory_limit: Option<u64>,
    /// Pseudonym of the proxy in the Via field; the same for all proxies of an
    /// installation, so that loops are detected
    #[arg(
        long,
        env = "PORTOLAN_VIA",
        value_name = "NAME",
        default_value = "portolan"
    )]
    pub via: Pseudonym,
    /// Format of the access log on stdout
    #[arg(long, env = "PORTOLAN_ACCESS_LOG", value_enum, default_value = "text")]
    pub access_log: AccessLogFormat,
    /// Format of the logs on stderr; auto is text on a terminal and JSON elsewhere
    #[arg(long, env = "PORTOLAN_LOG_FORMAT", value_enum, default_value = "auto")]
    pub log_format: LogFormat,
}

impl Options {
    /// Returns the settings of the subscriber.
    pub fn subscription(&self) -> discovery::Settings {
        discovery::Settings {
            class: self.class.clone(),
            discovery: self.discovery.clone(),
            token_file: self.token_file.clone(),
            ca_file: self.ca_file.clone(),
            snapshot_dir: self.snapshot_dir.clone(),
            pod_name: self.pod_name.clone(),
            pod_uid: self.pod_uid.clone(),
        }
    }
}

/// One number with its unit, a subset of what Kubernetes' GEP-2257 allows: `1h`, `2m`, `15s`, `200ms`.
///
/// # Errors
/// The sentence that a person is shown.
pub fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).unwrap_or_default();
    let wrong = || {
        format!("{text:?} is not a duration; use a number with a unit, such as 15s (h, m, s or ms)")
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    if number > 100_000 {
        return Err(format!("{text:?} is too long; at most 100000 of any unit"));
    }
    match unit {
        "h" => Ok(Duration::from_secs(number * 3600)),
        "m" => Ok(Duration::from_secs(number * 60)),
        "s" => Ok(Duration::from_secs(number)),
        "ms" => Ok(Duration::from_millis(number)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_flags_are_well_formed() {
        Options::command().debug_assert();
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("15s"), Ok(Duration::from_secs(15)));
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for text in [
            "15",
            "s",
            "-1s",
            "1.5s",
            "1d",
            "",
            "99999999999999999999s",
            "100001h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}

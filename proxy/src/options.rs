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

/// Serves what the Portolan operator says is exposed: HTTPS and HTTP, straight to the pods
#[derive(Clone, Debug, Parser)]
#[command(name = "portolan-proxy", version, max_term_width = 100)]
pub struct Options {
    /// The ExposeClass to serve
    #[arg(long, env = "PORTOLAN_CLASS")]
    pub class: String,
    /// Where the operators are: their headless Service and its port
    #[arg(long, env = "PORTOLAN_DISCOVERY", value_name = "HOST:PORT")]
    pub discovery: OperatorAddress,
    /// The projected token (audience portolan-discovery) that is shown to the operators
    #[arg(long, env = "PORTOLAN_TOKEN_FILE", value_name = "FILE")]
    pub token_file: PathBuf,
    /// The certificate authorities that the operators' certificates must come from, PEM
    #[arg(long, env = "PORTOLAN_CA_FILE", value_name = "FILE")]
    pub ca_file: PathBuf,
    /// A folder in memory where the state survives a restart of the container
    #[arg(long, env = "PORTOLAN_SNAPSHOT_DIR", value_name = "FOLDER")]
    pub snapshot_dir: PathBuf,
    /// The name of this pod
    #[arg(long, env = "PORTOLAN_POD_NAME", value_name = "NAME")]
    pub pod_name: String,
    /// The UID of this pod
    #[arg(long, env = "PORTOLAN_POD_UID", value_name = "UID")]
    pub pod_uid: String,
    /// How many worker threads; absent: one for each CPU of the limit, at most 4
    #[arg(long, env = "PORTOLAN_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub workers: Option<u16>,
    /// On which addresses listeners open; their ports come from the operator
    #[arg(
        long,
        env = "PORTOLAN_LISTEN_ADDRESS",
        value_name = "IP",
        value_delimiter = ',',
        default_value = "0.0.0.0,::"
    )]
    pub listen_address: Vec<IpAddr>,
    /// Where /metrics, /livez and /readyz are answered
    #[arg(
        long,
        env = "PORTOLAN_ADMIN_ADDRESS",
        value_name = "IP:PORT",
        default_value = "[::]:9090"
    )]
    pub admin_address: SocketAddr,
    /// Where the names of ExternalName Services are looked up; absent: the servers of /etc/resolv.conf
    #[arg(
        long,
        env = "PORTOLAN_NAME_SERVERS",
        value_name = "IP:PORT",
        value_delimiter = ','
    )]
    pub name_servers: Vec<SocketAddr>,
    /// On TERM: how long connections are still accepted, such as 15s
    #[arg(long, env = "PORTOLAN_DRAIN_DELAY", value_name = "DURATION", value_parser = duration, default_value = "15s")]
    pub drain_delay: Duration,
    /// Then: how long requests under way may take
    #[arg(long, env = "PORTOLAN_DRAIN_TIMEOUT", value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub drain_timeout: Duration,
    /// How much memory the process may use, such as 512Mi; absent: what the container may. At 80 %
    /// bodies are held up, at 90 % requests are refused, at 95 % no connection is accepted
    #[arg(long, env = "PORTOLAN_MEMORY_LIMIT", value_name = "BYTES", value_parser = limit::parse)]
    pub memory_limit: Option<u64>,
    /// Under which name requests say that they passed here, in Via; the same for all proxies of an
    /// installation, so that loops are found
    #[arg(
        long,
        env = "PORTOLAN_VIA",
        value_name = "NAME",
        default_value = "portolan"
    )]
    pub via: Pseudonym,
    /// What is written to stdout for each request
    #[arg(long, env = "PORTOLAN_ACCESS_LOG", value_enum, default_value = "text")]
    pub access_log: AccessLogFormat,
    /// How logs on stderr look; auto is text on a terminal and JSON elsewhere
    #[arg(long, env = "PORTOLAN_LOG_FORMAT", value_enum, default_value = "auto")]
    pub log_format: LogFormat,
}

impl Options {
    /// What the subscriber needs of it.
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
    let wrong = || format!("{text:?} is no duration; 15s is one, with the units h, m, s and ms");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    if number > 100_000 {
        return Err(format!(
            "{text:?} is too long; 100000 of any unit is the most"
        ));
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

//! Settings of the operator: flags over `PORTOLAN_*` over defaults.

use crate::client::Rate;
use crate::lease::Terms;
use clap::{Args, ValueEnum};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// How the operator runs.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// The namespace of the release: the Lease, the authority of discovery and the proxies are there
    #[arg(long, env = "PORTOLAN_NAMESPACE", default_value = "portolan-system")]
    pub namespace: String,

    /// The image that proxies run
    #[arg(long, env = "PORTOLAN_PROXY_IMAGE", default_value = concat!("portolan.dev/portolan-proxy:", env!("CARGO_PKG_VERSION")))]
    pub proxy_image: String,

    /// When kubelets pull that image
    #[arg(
        long,
        env = "PORTOLAN_PROXY_IMAGE_PULL_POLICY",
        value_enum,
        default_value_t
    )]
    pub proxy_image_pull_policy: PullPolicy,

    /// Requests a second to the API server, on average; the Lease is not counted
    #[arg(long, env = "PORTOLAN_KUBE_QPS", default_value_t = 50.0, value_parser = positive)]
    pub kube_qps: f64,

    /// Requests at once to the API server after a quiet time
    #[arg(long, env = "PORTOLAN_KUBE_BURST", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub kube_burst: u32,

    /// How many objects are worked on at a time
    #[arg(long, env = "PORTOLAN_CONCURRENCY", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,

    /// Where metrics and probes are served
    #[arg(long, env = "PORTOLAN_ADMIN_ADDRESS", default_value = "[::]:9090")]
    pub admin_address: SocketAddr,

    /// Where discovery is served to the proxies
    #[arg(long, env = "PORTOLAN_DISCOVERY_ADDRESS", default_value = "[::]:9443")]
    pub discovery_address: SocketAddr,

    /// The Lease by which one replica is elected to write
    #[arg(long, env = "PORTOLAN_LEASE_NAME", default_value = "portolan-operator")]
    pub lease_name: String,

    /// After this long without a sign of life of the leader another replica takes over; the same for all
    #[arg(long, env = "PORTOLAN_LEASE_DURATION", default_value = "15s", value_parser = at_least_a_second)]
    pub lease_duration: Duration,

    /// The domain of the cluster, in which the proxies find discovery
    #[arg(long, env = "PORTOLAN_CLUSTER_DOMAIN", default_value = "cluster.local")]
    pub cluster_domain: String,

    /// The name of the pod, for the Lease and for events
    #[arg(long, env = "POD_NAME", default_value = "portolan")]
    pub pod_name: String,
}

impl Settings {
    /// How fast requests may go out.
    pub fn rate(&self) -> Rate {
        Rate {
            per_second: self.kube_qps,
            burst: self.kube_burst,
        }
    }

    /// The times of the Lease.
    pub fn terms(&self) -> Terms {
        Terms::lasting(self.lease_duration)
    }
}

/// When a kubelet pulls an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum PullPolicy {
    /// When the node does not have it.
    #[default]
    IfNotPresent,
    /// At each start.
    Always,
    /// Never.
    Never,
}

impl fmt::Display for PullPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("write a number above 0, such as 50 or 0.5".to_owned()),
    }
}

/// A Lease counts whole seconds, and its holder needs time to renew it.
fn at_least_a_second(text: &str) -> Result<Duration, String> {
    let right = "write a duration of at least 1s, such as 15s or 1m";
    let duration: jiff::SignedDuration = text.parse().map_err(|_| right.to_owned())?;
    match Duration::try_from(duration) {
        Ok(duration) if duration >= Duration::from_secs(1) => Ok(duration),
        _ => Err(right.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        settings: Settings,
    }

    fn parse(arguments: &[&str]) -> Result<Settings, clap::Error> {
        let arguments = ["operator"].iter().chain(arguments);
        Program::try_parse_from(arguments).map(|program| program.settings)
    }

    #[test]
    fn the_defaults_are_those_of_the_documentation() {
        let settings = parse(&[]).unwrap();
        assert_eq!(settings.namespace, "portolan-system");
        assert_eq!(settings.lease_duration, Duration::from_secs(15));
        assert_eq!(settings.proxy_image_pull_policy.to_string(), "IfNotPresent");
        assert_eq!(settings.discovery_address.port(), 9443);
    }

    #[test]
    fn nonsense_is_refused_with_what_would_be_right() {
        for arguments in [
            ["--kube-qps", "0"],
            ["--kube-qps", "NaN"],
            ["--concurrency", "0"],
            ["--lease-duration", "10ms"],
            ["--lease-duration", "-15s"],
            ["--proxy-image-pull-policy", "Sometimes"],
        ] {
            assert!(parse(&arguments).is_err(), "{arguments:?}");
        }
    }
}

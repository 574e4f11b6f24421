//! Flags of `portolan serve`, over `PORTOLAN_*`, over defaults.

use clap::{Args, ValueEnum};
use portolan_core::ClassName;
use portolan_proxy::options::duration;
use portolan_proxy::telemetry::access_log::AccessLogFormat;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// End of `portolan serve --help`.
pub(crate) const EXAMPLE: &str = "\
Example: requests for shop.localhost go to a program on port 3000.

  mkdir demo && cat >demo/shop.yaml <<END
  apiVersion: portolan.dev/v1alpha1
  kind: ExposedPort
  metadata: {name: shop}
  spec: {service: shop, port: 80, hostnames: [shop.localhost]}
  ---
  apiVersion: v1
  kind: Service
  metadata: {name: shop}
  spec: {ports: [{name: http, port: 80}]}
  ---
  apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: shop, labels: {kubernetes.io/service-name: shop}}
  addressType: IPv4
  ports: [{name: http, port: 3000}]
  endpoints: [{addresses: [127.0.0.1]}]
  END
  portolan serve --files demo &
  curl http://shop.localhost:8080/

Files are read again when they change. An invalid object keeps its last valid
state and is reported with file, line and field; everything else is updated.
SIGTERM or ^C drains requests in flight and exits; a second one exits at once.
Exit codes: 0 terminated by signal, 1 failed, 2 usage.";

/// Options of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder with ExposedPorts, ExposeClasses, Services, EndpointSlices and Secrets (.yaml, .yml, .json)
    #[arg(long, env = "PORTOLAN_FILES", value_name = "FOLDER")]
    pub(super) files: PathBuf,
    /// Address of plain HTTP; [::] is every address of this host, IPv4 and IPv6
    #[arg(
        long,
        env = "PORTOLAN_HTTP",
        value_name = "IP:PORT",
        default_value = "[::]:8080"
    )]
    pub(super) http: SocketAddr,
    /// Address of HTTPS; must have the IP of --http
    #[arg(
        long,
        env = "PORTOLAN_HTTPS",
        value_name = "IP:PORT",
        default_value = "[::]:8443"
    )]
    pub(super) https: SocketAddr,
    /// Address of /metrics, /livez and /readyz
    #[arg(
        long,
        env = "PORTOLAN_ADMIN",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:9090"
    )]
    pub(super) admin: SocketAddr,
    /// ExposeClass to serve. Defaults to the default class of the folder
    #[arg(long, env = "PORTOLAN_CLASS", value_name = "NAME", value_parser = class)]
    pub(super) class: Option<ClassName>,
    /// DNS servers for externalName. Defaults to those of /etc/resolv.conf
    #[arg(
        long,
        env = "PORTOLAN_NAME_SERVERS",
        value_name = "IP:PORT",
        value_delimiter = ','
    )]
    pub(super) name_servers: Vec<SocketAddr>,
    /// Networks to which no connection is made, in addition to those of the class. Defaults to link-local (with
    /// metadata services), multicast and unspecified addresses. Unlike in a cluster, loopback is allowed
    #[arg(
        long,
        env = "PORTOLAN_DENIED_CIDRS",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub(super) denied_cidrs: Option<Vec<String>>,
    /// Number of worker threads. Defaults to one per CPU of the limit, at most 4
    #[arg(long, env = "PORTOLAN_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) workers: Option<u16>,
    /// Format of the access log on stdout
    #[arg(long, env = "PORTOLAN_ACCESS_LOG", value_enum, default_value = "off")]
    pub(super) access_log: AccessLogFormat,
    /// Format of status changes on stdout
    #[arg(short, long, value_enum, default_value_t)]
    pub(super) output: Output,
    /// Time after SIGTERM during which connections are still accepted, such as 15s, so that load balancers notice
    #[arg(long, env = "PORTOLAN_DRAIN_DELAY", value_name = "DURATION", value_parser = duration, default_value = "0s")]
    pub(super) drain_delay: Duration,
    /// Time after the drain delay for requests in flight
    #[arg(long, env = "PORTOLAN_DRAIN_TIMEOUT", value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub(super) drain_timeout: Duration,
}

/// Format of status changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table of changed objects.
    #[default]
    Table,
    /// One JSON object per line.
    Json,
}

fn class(text: &str) -> Result<ClassName, String> {
    ClassName::parse(text).ok_or_else(|| {
        "must be a DNS label: at most 63 lower-case letters, digits and inner hyphens".to_owned()
    })
}

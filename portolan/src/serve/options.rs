//! Flags of `portolan serve`, over `PORTOLAN_*`, over defaults.

use clap::{Args, ValueEnum};
use portolan_core::ClassName;
use portolan_proxy::options::duration;
use portolan_proxy::telemetry::access_log::AccessLogFormat;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What `portolan serve --help` ends with.
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

Files are read again when they change. What is broken in one keeps its last
good state and is told with file, line and field; everything else goes on.
TERM or ^C ends, after the requests under way; a second one ends at once.
Exit codes: 0 ended as asked, 1 failed, 2 usage.";

/// What is served, and where.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The folder with ExposedPorts, ExposeClasses, Services, EndpointSlices and Secrets (.yaml, .yml, .json)
    #[arg(long, env = "PORTOLAN_FILES", value_name = "FOLDER")]
    pub(super) files: PathBuf,
    /// Where plain HTTP is taken; [::] is every address of this host, of both families
    #[arg(
        long,
        env = "PORTOLAN_HTTP",
        value_name = "IP:PORT",
        default_value = "[::]:8080"
    )]
    pub(super) http: SocketAddr,
    /// Where HTTPS is taken; on the same address as --http
    #[arg(
        long,
        env = "PORTOLAN_HTTPS",
        value_name = "IP:PORT",
        default_value = "[::]:8443"
    )]
    pub(super) https: SocketAddr,
    /// Where /metrics, /livez and /readyz are answered
    #[arg(
        long,
        env = "PORTOLAN_ADMIN",
        value_name = "IP:PORT",
        default_value = "127.0.0.1:9090"
    )]
    pub(super) admin: SocketAddr,
    /// The ExposeClass to serve; absent: the default one of the folder
    #[arg(long, env = "PORTOLAN_CLASS", value_name = "NAME", value_parser = class)]
    pub(super) class: Option<ClassName>,
    /// Where externalNames are looked up; absent: the servers of /etc/resolv.conf
    #[arg(
        long,
        env = "PORTOLAN_NAME_SERVERS",
        value_name = "IP:PORT",
        value_delimiter = ','
    )]
    pub(super) name_servers: Vec<SocketAddr>,
    /// Networks in which no endpoint is contacted, beside those of the class; absent: link-local (with metadata
    /// services), multicast and unspecified addresses. Unlike in a cluster, loopback is allowed
    #[arg(
        long,
        env = "PORTOLAN_DENIED_CIDRS",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    pub(super) denied_cidrs: Option<Vec<String>>,
    /// How many worker threads; absent: one for each CPU of the limit, at most 4
    #[arg(long, env = "PORTOLAN_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) workers: Option<u16>,
    /// What is written to stdout for each request
    #[arg(long, env = "PORTOLAN_ACCESS_LOG", value_enum, default_value = "off")]
    pub(super) access_log: AccessLogFormat,
    /// How the status of objects is written to stdout when it changes
    #[arg(short, long, value_enum, default_value_t)]
    pub(super) output: Output,
    /// On TERM: how long connections are still accepted, such as 15s, so that whoever sends clients here hears of it
    #[arg(long, env = "PORTOLAN_DRAIN_DELAY", value_name = "DURATION", value_parser = duration, default_value = "0s")]
    pub(super) drain_delay: Duration,
    /// Then: how long requests under way may take
    #[arg(long, env = "PORTOLAN_DRAIN_TIMEOUT", value_name = "DURATION", value_parser = duration, default_value = "30s")]
    pub(super) drain_timeout: Duration,
}

/// How the status of objects is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table of what changed.
    #[default]
    Table,
    /// One JSON object a line.
    Json,
}

fn class(text: &str) -> Result<ClassName, String> {
    ClassName::parse(text).ok_or_else(|| {
        "the name of a class is a DNS label: at most 63 small letters, digits and inner hyphens"
            .to_owned()
    })
}

//! A data plane for one test, and its configuration.

use crate::client::Client;
use crate::protocols::Protocols;
use crate::soon;
use portolan_discovery::table::{
    Action, Backend, Certificate, ClassSettings, Endpoint, EndpointSet, HostTls, Listener,
    PathMatch, Protocol, Resource, ResourceName, Route, TicketSeed, UpstreamProtocol, VirtualHost,
};
use portolan_discovery::version::Version;
use portolan_proxy::control::{Batch, Control, ResourceAck, Update};
use portolan_proxy::data_plane::{DataPlane, Settings};
use portolan_proxy::limits::Limits;
use portolan_proxy::telemetry::access_log::AccessLogFormat;
use portolan_proxy_core::cidr::Networks;
use rcgen::{CertificateParams, CertifiedIssuer, KeyPair};
use rustls::client::WantsClientCert;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, SupportedProtocolVersion};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A running data plane; it is left to itself at the end of the test.
pub(crate) struct Proxy {
    pub(crate) control: Control,
    pub(crate) plane: DataPlane,
    pub(crate) http: SocketAddr,
    pub(crate) https: SocketAddr,
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// Below the ports that the kernel gives out, so that no client's port is in the way; listeners
/// share ports (SO_REUSEPORT), so nothing would tell that two tests took the same.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + (std::process::id() % 100) as u16 * 100;
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

impl Proxy {
    /// With two workers and the product's limits, before its first snapshot.
    pub(crate) fn unconfigured() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        Self::with(limits, 1000, None)
    }

    /// At most so many connections of clients, and so much memory.
    pub(crate) fn with(limits: Limits, connections: usize, memory_limit: Option<u64>) -> Self {
        Self::started(|settings| {
            settings.limits = limits;
            settings.connections = connections;
            settings.memory_limit = memory_limit;
        })
    }

    /// Looks external names up at this server.
    pub(crate) fn with_name_server(name_server: SocketAddr) -> Self {
        Self::started(|settings| settings.name_servers = vec![name_server])
    }

    /// Origins are on loopback, so nothing is denied.
    fn started(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings {
            class: "public".into(),
            workers: 2,
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            https_port: 443,
            limits: Limits::default(),
            connections: 1000,
            memory_limit: None,
            via: Default::default(),
            denied: Networks::default(),
            name_servers: Vec::new(),
            access_log: AccessLogFormat::Off,
        };
        change(&mut settings);
        let plane = DataPlane::start(settings).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self {
            control: plane.control(),
            plane,
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())),
            https: SocketAddr::from((Ipv4Addr::LOCALHOST, free_port())),
            authority: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    /// With its listeners open and these resources applied.
    pub(crate) async fn serving(resources: Vec<Resource>) -> Self {
        Self::unconfigured().open(resources).await
    }

    /// Ends the first snapshot.
    pub(crate) async fn open(self, mut resources: Vec<Resource>) -> Self {
        resources.extend(self.listeners());
        let verdicts = self.apply(resources).await;
        assert!(
            verdicts.iter().all(|it| it.refused.is_none()),
            "{verdicts:?}"
        );
        self
    }

    pub(crate) fn listeners(&self) -> [Resource; 2] {
        let listener = |name: &str, port, protocol| {
            Resource::Listener(Listener {
                name: name.into(),
                port,
                protocol,
            })
        };
        [
            listener("http", self.http.port(), Protocol::Http),
            listener("https", self.https.port(), Protocol::Https),
        ]
    }

    pub(crate) async fn apply(&self, resources: Vec<Resource>) -> Vec<ResourceAck> {
        self.change(resources, Vec::new()).await
    }

    pub(crate) async fn change(
        &self,
        resources: Vec<Resource>,
        removals: Vec<ResourceName>,
    ) -> Vec<ResourceAck> {
        let batch = batch(resources, removals, true);
        soon("applying", self.control.apply(batch)).await
    }

    /// A certificate of this test's authority.
    pub(crate) fn certificate(&self, name: &str, hosts: &[&str]) -> Resource {
        self.certificate_for(name, hosts, &KeyPair::generate().unwrap())
    }

    /// A certificate of this test's authority, for this key.
    pub(crate) fn certificate_for(&self, name: &str, hosts: &[&str], key: &KeyPair) -> Resource {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let params = CertificateParams::new(hosts).unwrap();
        let leaf = params.signed_by(key, &self.authority).unwrap();
        Resource::Certificate(Certificate {
            name: name.into(),
            chain_pem: leaf.pem(),
            key_pem: key.serialize_pem(),
        })
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(self.http).await
    }

    /// A client that asked for this server name and verified the certificate.
    pub(crate) async fn tls_client(&self, name: &str) -> Client {
        let protocol = Protocols::of_this_test().down;
        let mut config = self.client_config();
        if protocol == UpstreamProtocol::Http2 {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        let stream = self.handshake_with(config, name).await.unwrap();
        Client::speaking(protocol, stream, true).await
    }

    pub(crate) async fn handshake(&self, name: &str) -> std::io::Result<TlsStream<TcpStream>> {
        self.handshake_with(self.client_config(), name).await
    }

    pub(crate) async fn handshake_with(
        &self,
        config: impl Into<Arc<ClientConfig>>,
        name: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let connector = TlsConnector::from(config.into());
        soon("a TLS handshake", async {
            let stream = TcpStream::connect(self.https).await?;
            connector.connect(name, stream).await
        })
        .await
    }

    pub(crate) fn client_config(&self) -> ClientConfig {
        self.client_builder(rustls::ALL_VERSIONS)
            .with_no_client_auth()
    }

    /// A client that trusts this test's authority.
    pub(crate) fn client_builder(
        &self,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let mut roots = RootCertStore::empty();
        let authority: CertificateDer<'static> = self.authority.der().clone();
        roots.add(authority).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
    }
}

pub(crate) fn batch(resources: Vec<Resource>, removals: Vec<ResourceName>, end: bool) -> Batch {
    let update = |resource| Update {
        version: Version::of(&resource),
        resource,
        origins: Vec::new(),
    };
    Batch {
        upserts: resources.into_iter().map(update).collect(),
        removals,
        end_of_snapshot: end,
    }
}

/// Settings of the class: a default certificate, and seeds of session tickets.
pub(crate) fn settings(default_certificate: Option<&str>, seeds: &[u8]) -> Resource {
    Resource::ClassSettings(ClassSettings {
        default_certificate: default_certificate.map(Into::into),
        ticket_seeds: seeds.iter().map(|seed| TicketSeed([*seed; 32])).collect(),
        denied_cidrs: Vec::new(),
    })
}

/// An endpoint set with these members.
pub(crate) fn endpoints(name: &str, addresses: &[SocketAddr]) -> Resource {
    let endpoint = |address: &SocketAddr| Endpoint {
        address: *address,
        uid: format!("pod-{address}"),
    };
    let mut endpoints: Vec<Endpoint> = addresses.iter().map(endpoint).collect();
    endpoints.sort();
    Resource::Endpoints(EndpointSet {
        name: name.into(),
        endpoints,
        external: None,
    })
}

/// A host without TLS whose every path goes to one endpoint set.
pub(crate) fn host(hostname: &str, endpoints: &str) -> Resource {
    host_with(hostname, None, forward(endpoints))
}

/// A host with TLS, perhaps without a certificate yet.
pub(crate) fn tls_host(hostname: &str, certificate: Option<&str>, endpoints: &str) -> Resource {
    let tls = HostTls {
        certificates: certificate.into_iter().map(Into::into).collect(),
        ..HostTls::default()
    };
    host_with(hostname, Some(tls), forward(endpoints))
}

pub(crate) fn host_with(hostname: &str, tls: Option<HostTls>, action: Action) -> Resource {
    Resource::VirtualHost(VirtualHost {
        hostname: hostname.into(),
        tls,
        routes: vec![Route::new(PathMatch::Prefix("/".into()).into(), action)],
    })
}

/// A host without TLS with one route for every path, made by `change` from the plain one.
pub(crate) fn routed(hostname: &str, endpoints: &str, change: impl FnOnce(&mut Route)) -> Resource {
    let mut route = Route::new(PathMatch::Prefix("/".into()).into(), forward(endpoints));
    change(&mut route);
    Resource::VirtualHost(VirtualHost {
        hostname: hostname.into(),
        tls: None,
        routes: vec![route],
    })
}

pub(crate) fn forward(endpoints: &str) -> Action {
    Action::Forward {
        backends: vec![Backend {
            endpoints: endpoints.into(),
            weight: 1,
            protocol: Protocols::of_this_test().up,
            tls: None,
        }],
    }
}

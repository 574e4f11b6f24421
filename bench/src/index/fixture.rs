//! Index fixture: exposures in tens: each ten is a namespace with three objects and an Ingress with
//! hostnames of their own, three objects that share one, and one that delegates to two others. Each has a
//! Service with two pods; one sends requests to a Service of the next namespace, which consents. A certificate
//! serves all of a namespace.

use anyhow::Context as _;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use portolan_core::{
    Affected, Change, Event, Hostname, INGRESS_CONTROLLER, Index, ObjectRef, Observed,
};
use portolan_crds::gateway::ReferenceGrant;
use portolan_crds::{ExposedPort, HostnameHold};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::hint::black_box;

const CLASS: &str = "public";
/// The place of the Ingress among the ten.
const INGRESS: usize = 3;
/// The place of the object that refers to the next namespace.
const REFERRING: usize = 2;
/// The Secret of each namespace.
const SECRET: &str = "own";

pub(super) struct Fixture {
    /// Number of exposures.
    pub(super) size: usize,
    index: Index,
    now: Timestamp,
    /// Certificates for every hostname, and their keys; each is the one before renewed.
    pairs: [(String, String); 3],
}

pub(super) fn applied<T>(object: T) -> Change<T> {
    Change::Applied(Box::new(object))
}

pub(super) fn gone<T>(ten: usize, name: &str) -> Change<T> {
    Change::Deleted(ObjectRef::new(namespace(ten), name))
}

fn namespace(ten: usize) -> String {
    format!("team-{ten}")
}

fn app(place: usize) -> String {
    format!("app-{place}")
}

fn read<T: DeserializeOwned>(value: Value) -> anyhow::Result<T> {
    Ok(serde_json::from_value(value)?)
}

/// The hostname of an object; those that others delegate to have none.
fn hostname(ten: usize, place: usize) -> Option<String> {
    match place {
        0..=3 => Some(format!("own-{ten}-{place}.example.com")),
        4..=6 => Some(format!("shared-{ten}.example.com")),
        7 => Some(format!("root-{ten}.example.com")),
        _ => None,
    }
}

impl Fixture {
    /// The name of an object that is not there to begin with.
    pub(super) const NEWCOMER: &'static str = "newcomer";

    /// Creates this many exposures, all hostnames reserved and ready.
    pub(super) fn of(size: usize) -> anyhow::Result<Self> {
        let mut fixture = Self {
            size,
            index: Index::new("portolan-system"),
            now: "2030-01-01T00:00:00Z".parse()?,
            pairs: [pair()?, pair()?, pair()?],
        };
        let class = json!({
            "apiVersion": "portolan.dev/v1alpha1", "kind": "ExposeClass",
            "metadata": {"name": CLASS, "uid": "uid-class", "generation": 1},
            "spec": {"default": true, "domain": "apps.example.com"},
        });
        fixture.index.apply(Event::Now(fixture.now));
        fixture.index.apply(Event::CertManager(true));
        fixture
            .index
            .apply(Event::ExposeClass(applied(read(class)?)));
        let class: IngressClass = read(json!({
            "metadata": {"name": CLASS}, "spec": {"controller": INGRESS_CONTROLLER},
        }))?;
        fixture.index.apply(Event::IngressClass(applied(class)));
        fixture.index.apply(Event::ReferenceGrants(true));
        for ten in 0..fixture.tens() {
            fixture.fill(ten)?;
        }
        Ok(fixture)
    }

    fn tens(&self) -> usize {
        self.size / 10
    }

    fn fill(&mut self, ten: usize) -> anyhow::Result<()> {
        let secret = self.secret(ten, 0)?;
        self.index.apply(Event::Secret(applied(secret)));
        let grant = self.grant(ten, 0)?;
        self.index.apply(Event::ReferenceGrant(applied(grant)));
        for place in 0..10 {
            if let Some(host) = hostname(ten, place) {
                let hold = hold(ten, &host)?;
                self.index.apply(Event::HostnameHold(applied(hold)));
            }
            let service = self.service(ten, place, 0)?;
            self.index.apply(Event::Service(applied(service)));
            let slice = self.slice(ten, place, 0)?;
            self.index.apply(Event::EndpointSlice(applied(slice)));
            let event = match place {
                INGRESS => Event::Ingress(applied(self.ingress(ten, 0)?)),
                _ => Event::ExposedPort(applied(self.exposure(ten, place, 0)?)),
            };
            self.index.apply(event);
        }
        Ok(())
    }

    /// Tens that are far from one another, others in each round.
    pub(super) fn spread(&self, count: usize, round: usize) -> Vec<usize> {
        let apart = (self.tens() / count).max(1);
        let tens = (0..count).map(|index| (index * apart + round) % self.tens());
        tens.collect()
    }

    /// Applies an event, and derives again what it affects, as the operator does.
    pub(super) fn follow(&mut self, event: Event) -> Affected {
        let affected = self.index.apply(event);
        let seen = Observed::default();
        for object in &affected.objects {
            black_box(self.index.children(object));
            black_box(self.index.status(object, &seen, self.now));
        }
        for ingress in &affected.ingresses {
            black_box(self.index.ingress_diagnostics(ingress));
            black_box(self.index.addresses_of_ingress(ingress));
        }
        for class in &affected.classes {
            black_box(self.index.class_status(class, &seen, self.now));
        }
        for host in &affected.holds {
            black_box(self.index.hold_action(host));
        }
        for (class, name) in &affected.resources {
            black_box(self.index.resource(class, name));
        }
        affected
    }

    pub(super) fn exposure(
        &self,
        ten: usize,
        place: usize,
        variant: usize,
    ) -> anyhow::Result<ExposedPort> {
        let prefix = |name: &str| json!({"path": {"prefix": format!("/{name}/{variant}")}});
        let below = |place: usize| {
            let path = json!({"path": {"prefix": format!("/part-{place}")}});
            json!({"match": path, "delegate": {"name": app(place)}})
        };
        let next = namespace((ten + 1) % self.tens());
        let far = json!([{"service": app(0), "namespace": next, "port": 80}]);
        let routes = match place {
            REFERRING => json!([{"match": prefix("far"), "backends": far}, {}]),
            0..=3 => json!([
                {"match": prefix("api"), "timeouts": {"response": "5s"}},
                {"match": prefix("old"), "redirect": {"path": "/new"}},
                {},
            ]),
            7 => json!([below(8), below(9), {}]),
            _ => json!([{"match": prefix(&format!("part-{place}"))}]),
        };
        let spec = match hostname(ten, place) {
            Some(host) => json!({
                "service": app(place), "port": 80, "routes": routes,
                "hostnames": [host], "tls": {"secret": {"name": SECRET}},
            }),
            None => json!({
                "service": app(place), "port": 80, "routes": routes,
                "allowedParents": [{"namespace": namespace(ten)}],
            }),
        };
        exposed_port(ten, &app(place), variant, spec)
    }

    pub(super) fn ingress(&self, ten: usize, variant: usize) -> anyhow::Result<Ingress> {
        let host = hostname(ten, INGRESS).context("no hostname")?;
        let path = |path: &str| {
            let service = json!({"name": app(INGRESS), "port": {"number": 80}});
            json!({"path": path, "pathType": "Prefix", "backend": {"service": service}})
        };
        let paths = [path("/"), path("/old"), path(&format!("/api/{variant}"))];
        read(json!({
            "metadata": {
                "namespace": namespace(ten), "name": "ingress", "uid": format!("uid-{ten}-ingress"),
                "generation": variant + 1, "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": {
                "ingressClassName": CLASS,
                "tls": [{"hosts": [host], "secretName": SECRET}],
                "rules": [{"host": host, "http": {"paths": paths}}],
            },
        }))
    }

    /// The consent of a namespace to the one before it, in other words each time.
    pub(super) fn grant(&self, ten: usize, variant: usize) -> anyhow::Result<ReferenceGrant> {
        let to = match variant {
            0 => json!([{"group": "", "kind": "Service"}]),
            1 => json!([{"group": "", "kind": "Service", "name": app(0)}]),
            _ => json!([{"group": "", "kind": "Service"}, {"group": "", "kind": "Secret"}]),
        };
        let before = namespace((ten + self.tens() - 1) % self.tens());
        let from = json!([{"group": "portolan.dev", "kind": "ExposedPort", "namespace": before}]);
        read(json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "ReferenceGrant",
            "metadata": {"namespace": namespace(ten), "name": "consent"},
            "spec": {"from": from, "to": to},
        }))
    }

    /// An object that is not there to begin with.
    pub(super) fn newcomer(&self, ten: usize) -> anyhow::Result<ExposedPort> {
        let host = format!("new-{ten}.example.com");
        let tls = json!({"secret": {"name": SECRET}});
        let spec = json!({"service": app(0), "port": 80, "hostnames": [host], "tls": tls});
        exposed_port(ten, Self::NEWCOMER, 0, spec)
    }

    pub(super) fn service(
        &self,
        ten: usize,
        place: usize,
        variant: usize,
    ) -> anyhow::Result<Service> {
        let protocols = ["http", "kubernetes.io/h2c", "https"];
        let protocol = protocols.get(variant).context("no such variant")?;
        let port = json!({"name": "http", "port": 80, "targetPort": 8080, "appProtocol": protocol});
        read(json!({
            "metadata": {"namespace": namespace(ten), "name": app(place)},
            "spec": {"selector": {"app": app(place)}, "ports": [port]},
        }))
    }

    pub(super) fn slice(
        &self,
        ten: usize,
        place: usize,
        variant: usize,
    ) -> anyhow::Result<EndpointSlice> {
        let endpoint = |pod: usize, ready: bool| {
            let address = format!(
                "10.{}.{}.{}",
                ten / 256 % 256,
                ten % 256,
                place * 2 + pod + 1
            );
            let target = json!({"kind": "Pod", "uid": format!("pod-{ten}-{place}-{pod}")});
            json!({"addresses": [address], "conditions": {"ready": ready}, "targetRef": target})
        };
        read(json!({
            "metadata": {
                "namespace": namespace(ten), "name": format!("{}-x", app(place)),
                "labels": {"kubernetes.io/service-name": app(place)},
            },
            "addressType": "IPv4",
            "endpoints": [endpoint(0, variant != 1), endpoint(1, variant != 2)],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }))
    }

    pub(super) fn secret(&self, ten: usize, variant: usize) -> anyhow::Result<Secret> {
        let (certificate, key) = self.pairs.get(variant).context("no such variant")?;
        let mut secret = Secret::default();
        secret.metadata.namespace = Some(namespace(ten));
        secret.metadata.name = Some(SECRET.to_owned());
        let data = [("tls.crt", certificate), ("tls.key", key)];
        let data =
            data.map(|(name, text)| (name.to_owned(), ByteString(text.clone().into_bytes())));
        secret.data = Some(data.into());
        Ok(secret)
    }

    /// The hostnames for which proxies would have nothing to serve.
    #[cfg(test)]
    pub(super) fn unserved(&self) -> Vec<String> {
        use portolan_discovery::table::{Action, Kind, Resource, ResourceName};
        let class = portolan_core::ClassName::parse(CLASS).unwrap();
        let hosts =
            (0..self.tens()).flat_map(|ten| (0..10).filter_map(move |place| hostname(ten, place)));
        let served = |host: &String| {
            let name = ResourceName {
                kind: Kind::VirtualHost,
                name: host.clone(),
            };
            let Some((Resource::VirtualHost(host), _)) = self.index.resource(&class, &name) else {
                return false;
            };
            let is_served = |action: &Action| !matches!(action, Action::Unavailable { .. });
            host.tls.is_some() && host.routes.iter().all(|route| is_served(&route.action))
        };
        hosts.filter(|host| !served(host)).collect()
    }
}

fn exposed_port(
    ten: usize,
    name: &str,
    variant: usize,
    spec: Value,
) -> anyhow::Result<ExposedPort> {
    read(json!({
        "apiVersion": "portolan.dev/v1alpha1", "kind": "ExposedPort",
        "metadata": {
            "namespace": namespace(ten), "name": name, "uid": format!("uid-{ten}-{name}"),
            "generation": variant + 1, "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": spec,
    }))
}

fn hold(ten: usize, host: &str) -> anyhow::Result<HostnameHold> {
    let name = Hostname::parse(host).ok().context("no hostname")?;
    read(json!({
        "apiVersion": "portolan.dev/v1alpha1", "kind": "HostnameHold",
        "metadata": {"name": name.hold_name(), "uid": format!("uid-{host}"), "resourceVersion": "7"},
        "spec": {"hostname": host, "namespace": namespace(ten), "since": "2026-02-03T04:05:06Z"},
    }))
}

/// A certificate for every hostname, and its key.
fn pair() -> anyhow::Result<(String, String)> {
    let mut params = CertificateParams::new(vec!["*.example.com".to_owned()])?;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2031, 1, 1);
    let key = KeyPair::generate()?;
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}

//! A cluster in which everything is as it should be, for the tests of this folder; each breaks one thing.
#![allow(unreachable_pub)] // A module of a test.

mod objects;

pub use objects::*;

use jiff::Timestamp;
use portolan_core::{
    AckState, Affected, ChildState, ClassName, Event, Index, Observed, ObservedProxy, Reason,
    ServedCertificate, Subject,
};
use portolan_crds::ExposedPortStatus;
use portolan_discovery::table::{Kind, Resource, ResourceName};
use serde_json::{Value, json};

pub fn now() -> Timestamp {
    "2030-01-01T00:00:00Z".parse().unwrap()
}

pub fn virtual_host(name: &str) -> ResourceName {
    ResourceName {
        kind: Kind::VirtualHost,
        name: name.into(),
    }
}

pub fn endpoints(name: &str) -> ResourceName {
    ResourceName {
        kind: Kind::Endpoints,
        name: name.into(),
    }
}

pub fn certificate_resource(name: &str) -> ResourceName {
    ResourceName {
        kind: Kind::Certificate,
        name: name.into(),
    }
}

/// An index and what is around it: one class `public`, one object `team-a/shop`, everything as it should be.
pub struct World {
    pub index: Index,
    pub seen: Observed,
    pub shop: Subject,
}

pub const HOST: &str = "shop.example.com";

impl World {
    /// Ready in every respect; each test breaks one thing.
    pub fn ready() -> Self {
        let mut world = Self::empty();
        world.put_shop(shop_with(json!({})));
        world.see_everything();
        world
    }

    /// With a class, a Service with pods, a Secret, a hold and an address, but without any ExposedPort.
    pub fn empty() -> Self {
        let mut index = Index::new("portolan-system");
        index.apply(Event::Now(now()));
        index.apply(Event::CertManager(true));
        let spec = json!({"default": true, "domain": "apps.test"});
        index.apply(Event::ExposeClass(applied(expose_class("public", 1, spec))));
        let ports = json!([{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]);
        let spec = json!({"selector": {"app": "shop"}, "ports": ports});
        index.apply(Event::Service(applied(service("team-a", "shop", spec))));
        index.apply(Event::EndpointSlice(applied(slice(
            "shop",
            ("http", 8080),
            &[("10.0.0.1", true)],
        ))));
        index.apply(Event::Secret(applied(secret(
            "own",
            &GOOD.certificate,
            &GOOD.key,
        ))));
        index.apply(Event::HostnameHold(applied(hold(HOST, "team-a"))));
        let mut world = Self {
            index,
            seen: Observed::default(),
            shop: Subject::exposed_port("team-a", "shop"),
        };
        world.give_address("203.0.113.7");
        world.put_proxy_behind_its_service(true);
        world
    }

    pub fn put_shop(&mut self, spec: Value) -> Affected {
        self.expose("team-a", "shop", 5, spec)
    }

    /// An ExposedPort, made so many seconds after the beginning of 2026.
    pub fn expose(&mut self, namespace: &str, name: &str, age: u32, spec: Value) -> Affected {
        let object = exposed_port(namespace, name, age, spec);
        self.apply(Event::ExposedPort(applied(object)))
    }

    pub fn apply(&mut self, event: Event) -> Affected {
        self.index.apply(event)
    }

    pub fn give_address(&mut self, ip: &str) {
        let name = portolan_core::proxy_service("portolan-system", &class_name("public")).name;
        let mut service = service("portolan-system", &name, json!({"type": "LoadBalancer"}));
        service.status = Some(read(json!({"loadBalancer": {"ingress": [{"ip": ip}]}})));
        self.apply(Event::Service(applied(service)));
    }

    pub fn put_proxy_behind_its_service(&mut self, ready: bool) -> Affected {
        let name = portolan_core::proxy_service("portolan-system", &class_name("public")).name;
        let mut slice = slice(&name, ("https", 8443), &[("10.0.9.1", ready)]);
        slice.metadata.namespace = Some("portolan-system".into());
        self.apply(Event::EndpointSlice(applied(slice)))
    }

    /// Every child is applied, and one proxy has acknowledged and presents everything.
    pub fn see_everything(&mut self) {
        let children = self.index.children(&self.shop);
        self.seen.children = children
            .iter()
            .map(|child| (child.key(), ChildState::Applied))
            .collect();
        let mut proxy = ObservedProxy {
            name: "proxy-0".into(),
            ready: true,
            ..Default::default()
        };
        for (class, name) in self.index.resources_of(&self.shop) {
            if let Some((Resource::VirtualHost(host), _)) = self.index.resource(&class, &name)
                && let Some(certificate) =
                    host.tls.and_then(|tls| tls.certificates.into_iter().next())
            {
                let served = self.served(&class, &certificate);
                proxy.served.insert(host.hostname, served);
            }
            proxy.acks.insert(name, AckState::Acknowledged);
        }
        self.seen.proxies = vec![proxy];
    }

    fn served(&self, class: &ClassName, certificate: &str) -> ServedCertificate {
        use sha2::{Digest, Sha256};
        let resource = self
            .index
            .resource(class, &certificate_resource(certificate));
        let Some((Resource::Certificate(found), _)) = resource else {
            panic!("{certificate} is not in the table")
        };
        let der = pem_to_der(&found.chain_pem);
        ServedCertificate {
            fingerprint: hex::encode(Sha256::digest(der)),
            not_after: "2031-01-01T00:00:00Z".parse().unwrap(),
        }
    }

    pub fn proxy(&mut self) -> &mut ObservedProxy {
        &mut self.seen.proxies[0]
    }

    pub fn status(&self) -> ExposedPortStatus {
        self.index.status(&self.shop, &self.seen, now()).unwrap()
    }

    /// The reason of Ready, and of the hostname.
    pub fn reason(&self) -> String {
        let status = self.status();
        let ready = condition(&status, "Ready");
        assert_eq!(ready.0 == "True", status.summary.unwrap().status == "Ready");
        ready.1
    }

    #[track_caller]
    pub fn is(&self, reason: Reason) {
        assert_eq!(self.reason(), reason.as_str(), "{:#?}", self.status());
    }

    pub fn resource(&self, name: &ResourceName) -> Option<Resource> {
        Some(self.index.resource(&class_name("public"), name)?.0)
    }
}

/// The spec of `team-a/shop` as it is ready, with more fields.
pub fn shop_with(more: Value) -> Value {
    let mut spec = json!({"service": "shop", "port": 80, "hostnames": [HOST], "tls": {"secret": {"name": "own"}}});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    spec
}

/// Status and reason of a condition.
pub fn condition(status: &ExposedPortStatus, type_: &str) -> (String, String) {
    let found = status
        .conditions
        .iter()
        .find(|it| it.type_ == type_)
        .unwrap();
    (found.status.clone(), found.reason.clone())
}

fn pem_to_der(pem: &str) -> Vec<u8> {
    use rustls_pki_types::pem::PemObject;
    rustls_pki_types::CertificateDer::from_pem_slice(pem.as_bytes())
        .unwrap()
        .to_vec()
}

//! Objects as the API server would give them.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use portolan_core::{Change, ClassName, Hostname, ObjectRef, ProxySettings};
use portolan_crds::certmanager::{Certificate, Challenge, ClusterIssuer, Issuer};
use portolan_crds::gateway::ReferenceGrant;
use portolan_crds::{ExposeClass, ExposedPort, HostnameHold};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::LazyLock;
/// Reads an object as it would stand in a file.
pub fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

pub fn applied<T>(object: T) -> Change<T> {
    Change::Applied(Box::new(object))
}

pub fn gone<T>(namespace: &str, name: &str) -> Change<T> {
    Change::Deleted(ObjectRef::new(namespace, name))
}

pub fn settings() -> ProxySettings {
    ProxySettings {
        namespace: "portolan-system".into(),
        image: "portolan.dev/portolan-proxy:dev".into(),
        image_pull_policy: "IfNotPresent".into(),
        version: "0.1.0".into(),
    }
}

pub fn host(text: &str) -> Hostname {
    Hostname::parse(text).unwrap()
}

pub fn class_name(text: &str) -> ClassName {
    ClassName::parse(text).unwrap()
}

/// Second `created` of 2026.
pub fn created(second: u32) -> String {
    format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60)
}

pub fn exposed_port(namespace: &str, name: &str, age: u32, spec: Value) -> ExposedPort {
    read(json!({
        "apiVersion": "portolan.dev/v1alpha1", "kind": "ExposedPort",
        "metadata": {
            "namespace": namespace, "name": name, "uid": format!("uid-{namespace}-{name}"),
            "generation": 3, "creationTimestamp": created(age),
        },
        "spec": spec,
    }))
}

pub fn expose_class(name: &str, age: u32, spec: Value) -> ExposeClass {
    read(json!({
        "apiVersion": "portolan.dev/v1alpha1", "kind": "ExposeClass",
        "metadata": {
            "name": name, "uid": format!("uid-{name}"), "generation": 1, "creationTimestamp": created(age),
        },
        "spec": spec,
    }))
}

pub fn hold(hostname: &str, namespace: &str) -> HostnameHold {
    read(json!({
        "apiVersion": "portolan.dev/v1alpha1", "kind": "HostnameHold",
        "metadata": {"name": host(hostname).hold_name(), "uid": "uid-hold", "resourceVersion": "7"},
        "spec": {"hostname": hostname, "namespace": namespace, "since": "2026-02-03T04:05:06Z"},
    }))
}

/// The consent of a namespace: ExposedPorts of another one may refer to these of its objects.
pub fn grant(namespace: &str, name: &str, from: &str, to: Value) -> ReferenceGrant {
    let from = json!([{"group": "portolan.dev", "kind": "ExposedPort", "namespace": from}]);
    read(json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "ReferenceGrant",
        "metadata": {"namespace": namespace, "name": name}, "spec": {"from": from, "to": to},
    }))
}

pub fn namespace(name: &str, labels: Value) -> Namespace {
    read(json!({"metadata": {"name": name, "labels": labels}}))
}

pub fn service(namespace: &str, name: &str, spec: Value) -> Service {
    read(json!({"metadata": {"namespace": namespace, "name": name}, "spec": spec}))
}

/// An Ingress of a class, made so many seconds after the beginning of 2026, with more fields in its spec.
pub fn ingress(namespace: &str, name: &str, age: u32, class: &str, more: Value) -> Ingress {
    let mut spec = json!({"ingressClassName": class});
    spec.as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    read(json!({
        "metadata": {
            "namespace": namespace, "name": name, "uid": format!("uid-{namespace}-in-{name}"),
            "generation": 2, "creationTimestamp": created(age),
        },
        "spec": spec,
    }))
}

/// A rule of an Ingress: paths by their type, each with a Service.
pub fn rule(host: &str, paths: &[(&str, &str, &str)]) -> Value {
    let paths = paths.iter().map(|(type_, path, service)| {
        let service = json!({"name": service, "port": {"number": 80}});
        json!({"path": path, "pathType": type_, "backend": {"service": service}})
    });
    json!({"host": host, "http": {"paths": paths.collect::<Vec<_>>()}})
}

/// An IngressClass that we serve, when that is its controller.
pub fn ingress_class(name: &str, controller: &str, parameters: Value) -> IngressClass {
    let spec = json!({"controller": controller, "parameters": parameters});
    read(json!({"metadata": {"name": name}, "spec": spec}))
}

/// An Ingress as cert-manager makes it for a challenge.
pub fn solver(namespace: &str, name: &str, class: Value, host: &str, service: &str) -> Ingress {
    let path = format!("{CHALLENGES}token-{name}");
    let port = json!({"number": 80});
    let backend = json!({"service": {"name": service, "port": port}});
    let paths = json!([{"path": path, "pathType": "Exact", "backend": backend}]);
    read(json!({
        "metadata": {
            "namespace": namespace, "name": name, "labels": {portolan_core::SOLVER: "true"},
        },
        "spec": {
            "ingressClassName": class,
            "rules": [{"host": host, "http": {"paths": paths}}],
        },
    }))
}

/// What an ACME server wants to see for a hostname, as cert-manager keeps it.
pub fn challenge(name: &str, host: &str, state: &str, reason: &str) -> Challenge {
    let (wildcard, host) = host
        .strip_prefix("*.")
        .map_or((false, host), |it| (true, it));
    read(json!({
        "apiVersion": "acme.cert-manager.io/v1", "kind": "Challenge",
        "metadata": {"namespace": "team-a", "name": name, "creationTimestamp": created(9)},
        "spec": {"dnsName": host, "wildcard": wildcard, "type": "HTTP-01"},
        "status": {"state": state, "reason": reason},
    }))
}

/// Below which a CA asks.
pub const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// A Service as it was made for an ExposedPort.
pub fn own_service(namespace: &str, name: &str, owner: &str, spec: Value) -> Service {
    let mut service = service(namespace, name, spec);
    service.metadata.annotations =
        Some([(portolan_core::OWNER_UID.to_owned(), owner.to_owned())].into());
    service
}

/// A slice of a Service with endpoints as (address, ready).
pub fn slice(service: &str, port: (&str, u16), endpoints: &[(&str, bool)]) -> EndpointSlice {
    let endpoints: Vec<Value> = endpoints
        .iter()
        .map(|(address, ready)| {
            json!({
                "addresses": [address], "conditions": {"ready": ready},
                "targetRef": {"kind": "Pod", "uid": format!("pod-{address}")},
            })
        })
        .collect();
    read(json!({
        "metadata": {
            "namespace": "team-a", "name": format!("{service}-x"),
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": [{"name": port.0, "port": port.1, "protocol": "TCP"}],
    }))
}

/// A running pod with addresses.
pub fn pod(namespace: &str, name: &str, addresses: &[&str]) -> Pod {
    let ips: Vec<Value> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    read(json!({
        "metadata": {"namespace": namespace, "name": name, "uid": format!("uid-{name}")},
        "spec": {"containers": []},
        "status": {"phase": "Running", "podIP": addresses.first(), "podIPs": ips},
    }))
}

/// A certificate and a key.
pub struct Pem {
    pub certificate: String,
    pub key: String,
}

/// Self-signed, for these names, until the first day of a year.
pub fn pem(names: &[&str], until: i32) -> Pem {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    Pem {
        certificate: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

/// Good for the hostnames of the tests, and served by them.
pub static GOOD: LazyLock<Pem> =
    LazyLock::new(|| pem(&["shop.example.com", "*.apps.test", "b.example.com"], 2031));

pub fn secret(name: &str, certificate: &str, key: &str) -> Secret {
    let mut secret = Secret::default();
    secret.metadata.namespace = Some("team-a".into());
    secret.metadata.name = Some(name.into());
    let bytes = |text: &str| k8s_openapi::ByteString(text.as_bytes().to_vec());
    secret.data = Some(
        [
            ("tls.crt".to_owned(), bytes(certificate)),
            ("tls.key".to_owned(), bytes(key)),
        ]
        .into(),
    );
    secret
}

pub fn certificate(name: &str, status: Value) -> Certificate {
    read(json!({
        "apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": {"namespace": "team-a", "name": name},
        "spec": {"secretName": name, "issuerRef": {"name": "ca"}},
        "status": status,
    }))
}

/// An issuer for all namespaces, which is ready or not.
pub fn cluster_issuer(name: &str, ready: &str) -> ClusterIssuer {
    read(json!({"metadata": {"name": name}, "spec": {}, "status": issuer_status(ready)}))
}

/// An issuer of a namespace.
pub fn issuer(namespace: &str, name: &str, ready: &str) -> Issuer {
    let metadata = json!({"namespace": namespace, "name": name});
    read(json!({"metadata": metadata, "spec": {}, "status": issuer_status(ready)}))
}

fn issuer_status(ready: &str) -> Value {
    json!({"conditions": [{"type": "Ready", "status": ready, "message": "cannot register"}]})
}

/// A Lease of the team for one of its objects, that was renewed and written at that time.
pub fn lease(name: &str, object: &str, renewed: Timestamp) -> Lease {
    read(json!({
        "metadata": {
            "namespace": "team-a", "name": name, "labels": {portolan_core::EXPOSED_PORT: object},
            "managedFields": [{"manager": "ci", "operation": "Update", "time": renewed.to_string()}],
        },
        "spec": {"renewTime": renewed.to_string()},
    }))
}

/// The name of the Certificate that is made for a hostname, and of its Secret.
pub fn certificate_of(namespace: &str, class: &str, hostname: &str) -> String {
    let readable = hostname.replace('*', "wildcard");
    let of = format!("{class}/{hostname}");
    portolan_core::names::child_name(namespace, &readable, "Certificate", &of)
}

//! Private until exposed: the whole table of who reaches whom.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // A test that cannot go on panics.

use jiff::Timestamp;
use portolan_core::{
    Change, ClassName, Event, HoldAction, Hostname, Index, ObjectRef, ProxySettings, Subject,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

const RELEASE: &str = "portolan-system";

/// The simulator, built when the first test asks for it; Go's own cache keeps what it is made of.
static SIMULATOR: LazyLock<(tempfile::TempDir, PathBuf)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("reachability");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("go");
    // Reproducible whatever the user's environment says: go.sum has the sums of all modules.
    let built = Command::new("go")
        .current_dir(source)
        .env("GOFLAGS", "-mod=readonly")
        .env("GOWORK", "off")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .output()
        .unwrap_or_else(|error| panic!("go: {error}; hack/setup says how to install it"));
    let errors = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{errors}");
    (folder, program)
});

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn stored<T: DeserializeOwned>(value: Value) -> Change<T> {
    Change::Applied(Box::new(read(value)))
}

/// A cluster of a few namespaces, and what the core makes of what is stored in it.
struct Cluster {
    index: Index,
    namespaces: Value,
    objects: Vec<Subject>,
    classes: Vec<&'static str>,
}

/// Two teams whose namespaces are restricted, one whose namespace is not, and where the proxies are. In
/// each: what is exposed, and what is not; each listens on its own port and on that of its metrics.
fn pods() -> Vec<Value> {
    let mut pods = Vec::new();
    for namespace in ["team-a", "team-b", "open"] {
        for app in ["shop", "blog", "store"] {
            pods.push(json!({
                "namespace": namespace, "name": app, "labels": {"app": app},
                "ports": {"8080": "web", "9100": "metrics"},
            }));
        }
    }
    for class in ["public", "private"] {
        pods.push(json!({
            "namespace": RELEASE, "name": format!("proxy-{class}"), "ports": {},
            "labels": {
                "app.kubernetes.io/name": "portolan", "app.kubernetes.io/component": "proxy",
                "portolan.dev/class": class,
            },
        }));
    }
    pods.push(json!({"namespace": RELEASE, "name": "operator", "ports": {},
        "labels": {"app.kubernetes.io/name": "portolan", "app.kubernetes.io/component": "operator"}}));
    // The same labels elsewhere are not those of a proxy.
    pods.push(json!({"namespace": "open", "name": "impostor", "ports": {},
    "labels": {
        "app.kubernetes.io/name": "portolan", "app.kubernetes.io/component": "proxy",
        "portolan.dev/class": "public",
    }}));
    pods
}

impl Cluster {
    fn new() -> Self {
        let mut cluster = Self {
            index: Index::new(RELEASE),
            namespaces: json!({}),
            objects: Vec::new(),
            classes: Vec::new(),
        };
        cluster.index.apply(Event::Now(Timestamp::UNIX_EPOCH));
        for (namespace, tier) in [
            ("team-a", "gold"),
            ("team-b", "gold"),
            ("open", "tin"),
            (RELEASE, "gold"),
        ] {
            cluster.label(namespace, tier);
            for app in ["shop", "blog", "store"] {
                // One port by number, one by its name.
                let ports = json!([
                    {"name": "http", "port": 80, "targetPort": if app == "blog" { json!("web") } else { json!(8080) }},
                    {"name": "metrics", "port": 81, "targetPort": 9100},
                ]);
                let spec = json!({"selector": {"app": app}, "ports": ports});
                let metadata = json!({"namespace": namespace, "name": app});
                let service = stored(json!({"metadata": metadata, "spec": spec}));
                cluster.index.apply(Event::Service(service));
            }
        }
        cluster
    }

    fn label(&mut self, namespace: &str, tier: &str) {
        let labels = json!({"kubernetes.io/metadata.name": namespace, "tier": tier});
        self.namespaces[namespace] = labels.clone();
        let metadata = json!({"name": namespace, "labels": labels});
        let event = Event::Namespace(stored(json!({"metadata": metadata})));
        self.index.apply(event);
    }

    fn class(&mut self, name: &'static str, spec: Value) {
        if !self.classes.contains(&name) {
            self.classes.push(name);
        }
        let class = json!({
            "apiVersion": "portolan.dev/v1alpha1", "kind": "ExposeClass",
            "metadata": {"name": name, "uid": name, "generation": 1}, "spec": spec,
        });
        self.index.apply(Event::ExposeClass(stored(class)));
    }

    fn expose(&mut self, namespace: &str, name: &str, spec: Value) {
        let hosts = spec["hostnames"].as_array().cloned().unwrap_or_default();
        let metadata = json!({"namespace": namespace, "name": name, "uid": format!("{namespace}/{name}"), "generation": 1});
        let object = json!({
            "apiVersion": "portolan.dev/v1alpha1", "kind": "ExposedPort", "metadata": metadata, "spec": spec,
        });
        self.index.apply(Event::ExposedPort(stored(object)));
        self.objects.push(Subject::exposed_port(namespace, name));
        for host in hosts {
            let host = Hostname::parse(host.as_str().unwrap()).unwrap();
            if let Some(action @ HoldAction::Create { .. }) = self.index.hold_action(&host) {
                let hold = action.hold(Timestamp::UNIX_EPOCH).unwrap();
                self.index
                    .apply(Event::HostnameHold(Change::Applied(Box::new(hold))));
            }
        }
    }

    fn policies(&self) -> Vec<Value> {
        let settings = ProxySettings {
            namespace: RELEASE.into(),
            image: "proxy".into(),
            image_pull_policy: "Never".into(),
            version: "0".into(),
        };
        let of_objects = self
            .objects
            .iter()
            .flat_map(|object| self.index.children(object));
        let of_classes = self.classes.iter().flat_map(|class| {
            let class = ClassName::parse(class).unwrap();
            self.index.class_children(&class, &settings)
        });
        let children = of_objects.chain(of_classes);
        let policies = children.filter(|child| child.kind == "NetworkPolicy");
        policies.map(|child| child.value).collect()
    }

    /// Returns every open route, as `from -> to:port`.
    fn reached(&self) -> BTreeSet<String> {
        let cluster = json!({
            "namespaces": self.namespaces, "pods": pods(), "policies": self.policies(),
        });
        let mut simulator = Command::new(&SIMULATOR.1)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = simulator.stdin.take().unwrap();
        input.write_all(cluster.to_string().as_bytes()).unwrap();
        drop(input);
        let output = simulator.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Holds the whole table against what should be: everything within a namespace, everything to one that
    /// is not restricted, and these routes.
    #[track_caller]
    fn is(&self, restricted: &[&str], exposed: &[&str]) {
        let text = |pod: &Value, field: &str| pod[field].as_str().unwrap().to_owned();
        let pods: Vec<_> = pods();
        let mut sources: Vec<_> = pods
            .iter()
            .map(|pod| (text(pod, "namespace"), text(pod, "name")))
            .collect();
        sources.push((String::new(), "outside".to_owned()));
        let mut expected: BTreeSet<String> = BTreeSet::new();
        let mut all = 0;
        for (from, name) in &sources {
            let from_pod = match from.as_str() {
                "" => name.clone(),
                from => format!("{from}/{name}"),
            };
            for pod in &pods {
                let to = text(pod, "namespace");
                for port in pod["ports"].as_object().unwrap().keys() {
                    all += 1;
                    let route = format!("{from_pod} -> {to}/{}:{port}", text(pod, "name"));
                    let open = *from == to || !restricted.contains(&to.as_str());
                    if open || exposed.contains(&route.as_str()) {
                        expected.insert(route);
                    }
                }
            }
        }
        assert_eq!(all, sources.len() * 18, "every pod and port is checked");
        let reached = self.reached();
        let wrong: Vec<_> = reached.symmetric_difference(&expected).collect();
        assert!(wrong.is_empty(), "{wrong:#?} of {:#?}", self.policies());
        for route in exposed {
            assert!(reached.contains(*route), "{route}");
        }
    }
}

fn restrict() -> Value {
    json!({"networkPolicy": {"mode": "Restrict", "namespaceSelector": {"matchLabels": {"tier": "gold"}}}})
}

fn shop(class: &str, hosts: &[&str]) -> Value {
    json!({"className": class, "service": "shop", "port": 80, "hostnames": hosts})
}

#[test]
fn no_namespace_is_restricted_by_default() {
    let mut cluster = Cluster::new();
    cluster.class("public", json!({}));
    cluster.expose("team-a", "shop", shop("public", &["a.test"]));
    cluster.is(&[], &[]);
    cluster.class(
        "public",
        json!({"networkPolicy": {"mode": "None", "namespaceSelector": {}}}),
    );
    cluster.is(&[], &[]);
}

#[test]
fn only_exposed_ports_are_reachable_from_proxies() {
    let mut cluster = Cluster::new();
    cluster.class("public", restrict());
    cluster.is(&["team-a", "team-b"], &[]);
    cluster.expose("team-a", "shop", shop("public", &["a.test"]));
    let ours = ["portolan-system/proxy-public -> team-a/shop:8080"];
    cluster.is(&["team-a", "team-b"], &ours);
    // Where nothing is restricted nothing is made either: it would close what was open.
    cluster.expose("open", "shop", shop("public", &["o.test"]));
    cluster.is(&["team-a", "team-b"], &ours);
    // A hostname reserved by another namespace exposes nothing.
    cluster.expose("team-b", "thief", shop("public", &["a.test"]));
    cluster.is(&["team-a", "team-b"], &ours);
}

#[test]
fn each_route_opens_its_backends() {
    let mut cluster = Cluster::new();
    cluster.class("public", restrict());
    let routes = json!([
        {"match": {"path": {"prefix": "/blog"}}, "backends": [{"service": "blog", "port": 80, "weight": 1}, {"port": 81, "weight": 1}]},
        {},
    ]);
    let mut spec = shop("public", &["a.test"]);
    spec["routes"] = routes;
    cluster.expose("team-a", "shop", spec);
    cluster.is(
        &["team-a", "team-b"],
        &[
            "portolan-system/proxy-public -> team-a/blog:8080",
            "portolan-system/proxy-public -> team-a/shop:8080",
            "portolan-system/proxy-public -> team-a/shop:9100",
        ],
    );
}

#[test]
fn denied_networks_are_opened_for_other_classes_only() {
    let mut cluster = Cluster::new();
    let mut strict = restrict();
    strict["backendEncryption"] = "TLS".into();
    cluster.class("public", strict);
    cluster.class("private", json!({}));
    for (class, host) in [("public", "a.test"), ("private", "p.test")] {
        let backends = json!([
            {"service": "blog", "port": 80, "tls": {}, "weight": 1},
            {"service": "shop", "port": 80, "weight": 1},
        ]);
        let routes = json!([{"backends": backends}]);
        let spec = json!({"className": class, "hostnames": [host], "routes": routes});
        cluster.expose("team-a", class, spec);
    }
    cluster.is(
        &["team-a", "team-b"],
        &[
            "portolan-system/proxy-public -> team-a/blog:8080",
            "portolan-system/proxy-private -> team-a/blog:8080",
            "portolan-system/proxy-private -> team-a/shop:8080",
        ],
    );
}

#[test]
fn delegates_are_opened_for_the_proxies_of_their_roots() {
    let mut cluster = Cluster::new();
    cluster.class("public", restrict());
    cluster.class("private", json!({}));
    let child = json!({"allowedParents": [{"namespace": "team-a"}], "service": "blog", "port": 80});
    cluster.expose("team-b", "blog", child);
    cluster.is(&["team-a", "team-b"], &[]);
    for (class, host) in [("public", "a.test"), ("private", "p.test")] {
        let delegate = json!({"namespace": "team-b", "name": "blog"});
        let routes = json!([{"match": {"path": {"prefix": "/blog"}}, "delegate": delegate}, {}]);
        let mut spec = shop(class, &[host]);
        spec["routes"] = routes;
        cluster.expose("team-a", class, spec);
    }
    // A class that restricts nothing reaches what it exposes all the same.
    cluster.is(
        &["team-a", "team-b"],
        &[
            "portolan-system/proxy-public -> team-a/shop:8080",
            "portolan-system/proxy-private -> team-a/shop:8080",
            "portolan-system/proxy-public -> team-b/blog:8080",
            "portolan-system/proxy-private -> team-b/blog:8080",
        ],
    );
}

#[test]
fn foreign_services_are_opened_only_with_consent() {
    let mut cluster = Cluster::new();
    cluster.class("public", restrict());
    let routes = json!([{"backends": [{"service": "store", "namespace": "team-b", "port": 80}]}]);
    let spec = json!({"className": "public", "hostnames": ["a.test"], "routes": routes});
    cluster.index.apply(Event::ReferenceGrants(true));
    cluster.expose("team-a", "shop", spec);
    cluster.is(&["team-a", "team-b"], &[]);
    let metadata = json!({"namespace": "team-b", "name": "agreed"});
    let grant = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "ReferenceGrant", "metadata": metadata,
        "spec": {
            "from": [{"group": "portolan.dev", "kind": "ExposedPort", "namespace": "team-a"}],
            "to": [{"group": "", "kind": "Service"}],
        },
    });
    cluster.index.apply(Event::ReferenceGrant(stored(grant)));
    let ours = ["portolan-system/proxy-public -> team-b/store:8080"];
    cluster.is(&["team-a", "team-b"], &ours);
    // The garbage collector would take an owner of another namespace for gone.
    let policies = cluster.policies();
    let there = policies
        .iter()
        .map(|policy| &policy["metadata"])
        .find(|metadata| metadata["labels"]["portolan.dev/exposed-port"] == "shop")
        .unwrap();
    assert_eq!(there["namespace"], "team-b");
    assert_eq!(there["ownerReferences"], Value::Null);
    assert_eq!(
        there["annotations"]["portolan.dev/owner-namespace"],
        "team-a"
    );
    let gone = Change::Deleted(ObjectRef::new("team-b", "agreed"));
    cluster.index.apply(Event::ReferenceGrant(gone));
    cluster.is(&["team-a", "team-b"], &[]);
}

#[test]
fn labels_and_modes_take_effect_at_once_and_add_up() {
    let mut cluster = Cluster::new();
    cluster.class("public", restrict());
    cluster.expose("team-a", "shop", shop("public", &["a.test"]));
    let ours = ["portolan-system/proxy-public -> team-a/shop:8080"];
    cluster.label("team-b", "tin");
    cluster.is(&["team-a"], &ours);
    cluster.label("team-a", "tin");
    cluster.is(&[], &[]);
    cluster.label("team-a", "gold");
    cluster.class("private", restrict());
    cluster.is(&["team-a"], &ours);
    cluster.class("public", json!({}));
    cluster.is(&["team-a"], &ours);
    cluster.class("private", json!({}));
    cluster.is(&[], &[]);
}

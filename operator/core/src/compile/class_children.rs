//! Children of a class: its proxies, and the objects by which they run and are reached.

use super::metadata::Owner;
use super::quantity::canonical;
use super::table::{HTTP_PORT, HTTPS_PORT};
use crate::child::{Child, ProxySettings};
use crate::constants::{APP_COMPONENT, APP_NAME, APP_VERSION};
use crate::index::Index;
use crate::index::store::classes::Class;
use crate::names::ClassName;
use crate::{
    CA_CONFIG_MAP, CLASS, DISCOVERY_AUDIENCE, DISCOVERY_SERVICE, INGRESS_CONTROLLER,
    class_child_name,
};
use portolan_crds::{Amounts, GROUP, ProxyResources, VERSION};
use serde_json::{Map, Value, json};

/// Metrics and probes of the proxy.
const ADMIN_PORT: u16 = 9090;
/// The user of the images; it owns nothing.
const USER: u32 = 65532;
/// Above the time that a proxy takes to let its connections end.
const GRACE_SECONDS: u32 = 60;

impl Index {
    /// The objects that should exist for a class, in the order in which they are made; none for one that is gone.
    pub fn class_children(&self, class: &ClassName, settings: &ProxySettings) -> Vec<Child> {
        let Some(facts) = self.classes.get(class) else {
            return Vec::new();
        };
        let proxies = Proxies {
            owner: owner(class, facts),
            class,
            facts,
            settings,
        };
        let mut children = vec![
            proxies.service_account(),
            proxies.network_policy(),
            proxies.deployment(),
            proxies.disruption_budget(),
            proxies.service(),
            proxies.ingress_class(),
        ];
        children.extend(self.denials(class));
        children
    }
}

pub(super) fn owner<'a>(class: &'a ClassName, facts: &'a Class) -> Owner<'a> {
    Owner {
        api_version: format!("{GROUP}/{VERSION}"),
        kind: "ExposeClass",
        namespace: "",
        name: class.as_str(),
        uid: &facts.uid,
        label: CLASS,
        labels: [APP_NAME, APP_COMPONENT]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    }
}

struct Proxies<'a> {
    owner: Owner<'a>,
    class: &'a ClassName,
    facts: &'a Class,
    settings: &'a ProxySettings,
}

impl Proxies<'_> {
    fn child(&self, api_version: &'static str, kind: &'static str, rest: Value) -> Child {
        self.owner.child(
            api_version,
            kind,
            &self.settings.namespace,
            self.name(kind),
            rest,
        )
    }

    fn name(&self, kind: &str) -> String {
        class_child_name(&self.settings.namespace, self.class, kind)
    }

    fn selector(&self) -> Value {
        proxy_labels(self.class)
    }

    /// It has no rights. Its name is what discovery recognises a proxy of the class by.
    fn service_account(&self) -> Child {
        self.child(
            "v1",
            "ServiceAccount",
            json!({"automountServiceAccountToken": false}),
        )
    }

    fn network_policy(&self) -> Child {
        let ports = [HTTP_PORT, HTTPS_PORT, ADMIN_PORT]
            .map(|port| json!({"port": port, "protocol": "TCP"}));
        let spec = json!({
            "podSelector": {"matchLabels": self.selector()},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": ports}],
        });
        self.child(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            json!({"spec": spec}),
        )
    }

    fn disruption_budget(&self) -> Child {
        let spec = json!({"maxUnavailable": 1, "selector": {"matchLabels": self.selector()}});
        self.child("policy/v1", "PodDisruptionBudget", json!({"spec": spec}))
    }

    fn service(&self) -> Child {
        let proxy = self.facts.spec.proxy.clone().unwrap_or_default();
        let service = proxy.service.unwrap_or_default();
        let families = proxy.ip_families.iter().map(|family| family.as_str());
        let families: Vec<_> = families.collect();
        let port = |name, port: u16, target: u16| json!({"name": name, "port": port, "targetPort": target, "protocol": "TCP"});
        let mut spec = json!({
            "type": service.type_.unwrap_or_default().as_str(),
            "ipFamilyPolicy": proxy.ip_family_policy.unwrap_or_default().as_str(),
            "selector": self.selector(),
            "ports": [port("http", 80, HTTP_PORT), port("https", 443, HTTPS_PORT)],
        });
        if let (Some(spec), false) = (spec.as_object_mut(), families.is_empty()) {
            spec.insert("ipFamilies".to_owned(), families.into());
        }
        let mut child = self.child("v1", "Service", json!({"spec": spec}));
        let annotations = child.value.pointer_mut("/metadata/annotations");
        if let (Some(Value::Object(annotations)), Some(given)) = (annotations, &service.annotations)
        {
            for (key, value) in given {
                // Our label names the owner; it is never overwritten.
                annotations
                    .entry(key.clone())
                    .or_insert_with(|| value.clone().into());
            }
        }
        child
    }

    fn ingress_class(&self) -> Child {
        let spec = json!({"controller": INGRESS_CONTROLLER});
        let name = self.class.as_str().to_owned();
        self.owner.child(
            "networking.k8s.io/v1",
            "IngressClass",
            "",
            name,
            json!({"spec": spec}),
        )
    }

    fn deployment(&self) -> Child {
        let mut labels = self.owner.labels();
        if let Some(labels) = labels.as_object_mut() {
            labels.insert(APP_VERSION.to_owned(), self.settings.version.clone().into());
        }
        let spec = json!({
            "replicas": self.facts.replicas(),
            "selector": {"matchLabels": self.selector()},
            // A new pod takes over before an old one goes: without an operator it never becomes ready,
            // and the old ones go on.
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
            "template": {"metadata": {"labels": labels}, "spec": self.pod()},
        });
        self.child("apps/v1", "Deployment", json!({"spec": spec}))
    }

    fn pod(&self) -> Value {
        json!({
            "serviceAccountName": self.name("ServiceAccount"),
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "terminationGracePeriodSeconds": GRACE_SECONDS,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "topologySpreadConstraints": [{
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": self.selector()},
            }],
            "containers": [self.container()],
            "volumes": [
                {"name": "token", "projected": {"sources": [{"serviceAccountToken": {
                    "audience": DISCOVERY_AUDIENCE, "expirationSeconds": 3600, "path": "token",
                }}]}},
                {"name": "ca", "configMap": {"name": CA_CONFIG_MAP}},
                {"name": "state", "emptyDir": {"medium": "Memory"}},
            ],
        })
    }

    fn container(&self) -> Value {
        let port =
            |name, port: u16| json!({"name": name, "containerPort": port, "protocol": "TCP"});
        let read_only = |name, path| json!({"name": name, "mountPath": path, "readOnly": true});
        let field =
            |name, path| json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}});
        json!({
            "name": "proxy",
            "image": self.settings.image,
            "imagePullPolicy": self.settings.image_pull_policy,
            "args": self.arguments(),
            "env": [
                field("PORTOLAN_POD_NAME", "metadata.name"),
                field("PORTOLAN_POD_UID", "metadata.uid"),
            ],
            "ports": [port("http", HTTP_PORT), port("https", HTTPS_PORT), port("admin", ADMIN_PORT)],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": "admin"}, "periodSeconds": 1},
            "livenessProbe": {"httpGet": {"path": "/livez", "port": "admin"}, "periodSeconds": 10, "failureThreshold": 6},
            "resources": self.resources(),
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
            "volumeMounts": [
                read_only("token", "/var/run/portolan/token"),
                read_only("ca", "/var/run/portolan/ca"),
                {"name": "state", "mountPath": "/var/run/portolan/state"},
            ],
        })
    }

    fn arguments(&self) -> Vec<String> {
        let (service, port) = DISCOVERY_SERVICE;
        let mut arguments = vec![
            format!("--class={}", self.class),
            format!(
                "--discovery={service}.{}.svc:{port}",
                self.settings.namespace
            ),
            "--token-file=/var/run/portolan/token/token".to_owned(),
            "--ca-file=/var/run/portolan/ca/ca.crt".to_owned(),
            "--snapshot-dir=/var/run/portolan/state".to_owned(),
        ];
        let workers = self
            .facts
            .spec
            .proxy
            .as_ref()
            .and_then(|proxy| proxy.workers);
        arguments.extend(workers.map(|workers| format!("--workers={workers}")));
        arguments
    }

    /// Only what was given: a limit that was not asked for would throttle.
    fn resources(&self) -> Value {
        let default = ProxyResources::default();
        let proxy = self.facts.spec.proxy.as_ref();
        let resources = proxy
            .and_then(|proxy| proxy.resources.as_ref())
            .unwrap_or(&default);
        let mut value = Map::new();
        let given = [
            ("requests", &resources.requests),
            ("limits", &resources.limits),
        ];
        for (name, amounts) in given {
            let amounts = amounts
                .as_ref()
                .map(amounts_of)
                .filter(|amounts| !amounts.is_empty());
            value.extend(amounts.map(|amounts| (name.to_owned(), Value::Object(amounts))));
        }
        Value::Object(value)
    }
}

/// The labels that find the proxies of a class. They can never change in a Deployment, so the version is not among them.
pub(super) fn proxy_labels(class: &ClassName) -> Value {
    json!({
        APP_NAME.0: APP_NAME.1,
        APP_COMPONENT.0: APP_COMPONENT.1,
        CLASS: class.as_str(),
    })
}

fn amounts_of(amounts: &Amounts) -> Map<String, Value> {
    [("cpu", &amounts.cpu), ("memory", &amounts.memory)]
        .into_iter()
        .filter_map(|(name, amount)| Some((name.to_owned(), canonical(amount.as_ref()?).into())))
        .collect()
}

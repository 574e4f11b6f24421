//! The application that the tests expose: it answers with a description of the request.

use crate::Cluster;
use crate::wait::{LATER, eventually};
use anyhow::{Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The request as the application read it.
#[derive(Clone, Debug, Deserialize)]
pub struct Echo {
    /// The request's method.
    pub method: String,
    /// Its Host.
    pub host: String,
    /// Its path.
    pub path: String,
    /// Its header fields, canonical names.
    pub headers: BTreeMap<String, Vec<String>>,
    /// The name of the pod that answered.
    pub pod: String,
    /// Length of the body in bytes.
    #[serde(rename = "bodyLength")]
    pub body_length: u64,
}

impl Echo {
    /// The first value of a header field, empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|all| all.first())
            .map_or("", String::as_str)
    }
}

/// The Deployment `echo`: pods labelled `app: echo` with these containers.
pub fn deployment(namespace: &str, replicas: u32, containers: &[Value]) -> Value {
    application(namespace, "echo", replicas, containers)
}

/// A Deployment of this name: pods labelled `app` by it, with these containers.
pub fn application(namespace: &str, name: &str, replicas: u32, containers: &[Value]) -> Value {
    let labels = json!({"app": name});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 5,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65532,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": containers,
                },
            },
        },
    })
}

/// A container of the application, which listens on `number` under the name `port`.
pub fn container(name: &str, port: &str, number: u16, env: Value) -> Value {
    let probe = json!({"httpGet": {"path": "/healthz", "port": port}, "periodSeconds": 1});
    server("portolan.test/echo:dev", name, (port, number), &probe, env)
}

/// A container of any application that needs no rights, which listens on this port.
pub fn server(
    image: &str,
    name: &str,
    (port, number): (&str, u16),
    probe: &Value,
    env: Value,
) -> Value {
    json!({
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "env": env,
        "ports": [{"name": port, "containerPort": number}],
        "readinessProbe": probe,
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
            "capabilities": {"drop": ["ALL"]},
        },
    })
}

/// A Service of one's own for it: port 80, named `http`.
pub fn service(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {
            "selector": {"app": "echo"},
            "ports": [{"name": "http", "port": 80, "targetPort": "web"}],
        },
    })
}

impl Cluster {
    /// Runs the application on port 8080, named `web`, and waits until all its pods are ready.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn echo(&self, namespace: &str, replicas: u32) -> Result<()> {
        let one = container("echo", "web", 8080, json!([]));
        self.apply(&deployment(namespace, replicas, &[one])).await?;
        self.rolled_out(namespace, "echo").await
    }

    /// Waits until every pod of a Deployment is of its present template, ready, and no other is left.
    ///
    /// # Errors
    /// When that is not so in time.
    pub async fn rolled_out(&self, namespace: &str, name: &str) -> Result<()> {
        eventually(
            &format!("Deployment {namespace}/{name} is rolled out"),
            LATER,
            async || {
                let it = self.get("Deployment", namespace, name).await?;
                let number =
                    |pointer: &str| it.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
                let wanted = number("/spec/replicas");
                let counts = [
                    "replicas",
                    "updatedReplicas",
                    "readyReplicas",
                    "availableReplicas",
                ];
                let seen = number("/status/observedGeneration") == number("/metadata/generation");
                let all = counts
                    .iter()
                    .all(|count| number(&format!("/status/{count}")) == wanted);
                ensure!(seen && all, "{}", it.get("status").unwrap_or(&Value::Null));
                Ok(())
            },
        )
        .await
    }
}

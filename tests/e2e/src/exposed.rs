//! ExposedPorts: builds small ones, reads their status, waits for conditions.

use crate::Cluster;
use crate::cluster::text;
use crate::wait::eventually;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// The kind's name.
pub const KIND: &str = "ExposedPort";

/// An ExposedPort with this spec.
pub fn exposed_port(namespace: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "portolan.dev/v1alpha1", "kind": KIND,
        "metadata": {"namespace": namespace, "name": name}, "spec": spec,
    })
}

/// An ExposedPort of the echo application, under these hostnames, with whatever else the spec has.
pub fn exposed_echo(namespace: &str, name: &str, hostnames: &[&str], more: Value) -> Value {
    let mut spec = json!({"port": 8080, "selector": {"app": "echo"}, "hostnames": hostnames});
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), more) {
        spec.extend(more);
    }
    exposed_port(namespace, name, spec)
}

/// The consent of a namespace to references from another one, as its owner writes it.
pub fn consent(namespace: &str, from: &str, to: &Value) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "ReferenceGrant",
        "metadata": {"name": "consent", "namespace": namespace},
        "spec": {
            "from": [{"group": "portolan.dev", "kind": KIND, "namespace": from}],
            "to": to,
        },
    })
}

/// An ExposedPort as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposed(pub Value);

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One of the documented reasons.
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// Generation of the spec that it is about.
    pub observed_generation: i64,
}

impl Exposed {
    /// A condition, when there is one of that type.
    pub fn condition(&self, kind: &str) -> Option<Condition> {
        let conditions = self.0.pointer("/status/conditions")?.as_array()?;
        let condition = conditions
            .iter()
            .find(|condition| text(condition, "/type") == kind)?;
        Some(Condition {
            status: text(condition, "/status").to_owned(),
            reason: text(condition, "/reason").to_owned(),
            message: text(condition, "/message").to_owned(),
            observed_generation: condition.get("observedGeneration")?.as_i64()?,
        })
    }

    /// Returns true if it is Ready for its current generation.
    pub fn is_ready(&self) -> bool {
        self.current("Ready")
            .is_some_and(|ready| ready.status == "True")
    }

    /// A condition observed for the current generation.
    pub fn current(&self, kind: &str) -> Option<Condition> {
        let generation = self
            .0
            .pointer("/metadata/generation")
            .and_then(Value::as_i64);
        self.condition(kind)
            .filter(|condition| Some(condition.observed_generation) == generation)
    }

    /// The status of one hostname.
    ///
    /// # Errors
    /// When status does not list it.
    pub fn hostname(&self, name: &str) -> Result<&Value> {
        let all = self
            .0
            .pointer("/status/hostnames")
            .and_then(Value::as_array);
        let found = all
            .into_iter()
            .flatten()
            .find(|host| text(host, "/name") == name);
        found.with_context(|| format!("status.hostnames lacks {name}\n{self}"))
    }

    /// The addresses at which the class is reached.
    pub fn addresses(&self) -> Vec<&str> {
        let all = self
            .0
            .pointer("/status/addresses")
            .and_then(Value::as_array);
        all.into_iter()
            .flatten()
            .map(|address| text(address, "/value"))
            .collect()
    }

    /// The names of its children of one kind.
    pub fn children(&self, kind: &str) -> Vec<&str> {
        let all = self.0.pointer("/status/children").and_then(Value::as_array);
        let of_kind = all
            .into_iter()
            .flatten()
            .filter(|child| text(child, "/kind") == kind);
        of_kind.map(|child| text(child, "/name")).collect()
    }

    /// The name of its only child of one kind.
    ///
    /// # Errors
    /// When there is none, or more.
    pub fn child(&self, kind: &str) -> Result<&str> {
        match self.children(kind).as_slice() {
            [one] => Ok(one),
            other => bail!("status.children has {} of kind {kind}\n{self}", other.len()),
        }
    }
}

/// The conditions and hostnames, for a failure's message.
impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let generation = self
            .0
            .pointer("/metadata/generation")
            .and_then(Value::as_i64);
        let name = text(&self.0, "/metadata/name");
        writeln!(
            f,
            "    {name} generation {}",
            generation.unwrap_or_default()
        )?;
        let all = self
            .0
            .pointer("/status/conditions")
            .and_then(Value::as_array);
        for condition in all.into_iter().flatten() {
            let generation = condition.get("observedGeneration").and_then(Value::as_i64);
            let [kind, status] = ["/type", "/status"].map(|part| text(condition, part));
            let [reason, message] = ["/reason", "/message"].map(|part| text(condition, part));
            let generation = generation.unwrap_or_default();
            writeln!(f, "    {kind}={status} {reason} ({generation}): {message}")?;
        }
        let all = self
            .0
            .pointer("/status/hostnames")
            .and_then(Value::as_array);
        for host in all.into_iter().flatten() {
            writeln!(f, "    {host}")?;
        }
        Ok(())
    }
}

impl Cluster {
    /// Reads an ExposedPort.
    ///
    /// # Errors
    /// When there is none.
    pub async fn exposed(&self, namespace: &str, name: &str) -> Result<Exposed> {
        Ok(Exposed(self.get(KIND, namespace, name).await?))
    }

    /// Waits until an ExposedPort is Ready for its current generation.
    ///
    /// # Errors
    /// When it is not within that time.
    pub async fn ready(&self, namespace: &str, name: &str, within: Duration) -> Result<Exposed> {
        eventually(
            &format!("{namespace}/{name} is Ready"),
            within,
            async || {
                let exposed = self.exposed(namespace, name).await?;
                ensure!(exposed.is_ready(), "{exposed}");
                Ok(exposed)
            },
        )
        .await
    }

    /// Waits until an ExposedPort is not Ready for this reason.
    ///
    /// # Errors
    /// When it is not within that time.
    pub async fn unready(
        &self,
        namespace: &str,
        name: &str,
        reason: &str,
        within: Duration,
    ) -> Result<Exposed> {
        let what = format!("{namespace}/{name} is not Ready: {reason}");
        eventually(&what, within, async || {
            let exposed = self.exposed(namespace, name).await?;
            let ready = exposed.current("Ready");
            let unready =
                ready.is_some_and(|ready| ready.status == "False" && ready.reason == reason);
            ensure!(unready, "{exposed}");
            Ok(exposed)
        })
        .await
    }

    /// Waits until an ExposedPort is gone.
    ///
    /// # Errors
    /// When it still exists after that time.
    pub async fn gone(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        within: Duration,
    ) -> Result<()> {
        eventually(
            &format!("{kind} {namespace}/{name} is gone"),
            within,
            async || {
                ensure!(
                    self.find(kind, namespace, name).await?.is_none(),
                    "it is still there"
                );
                Ok(())
            },
        )
        .await
    }
}

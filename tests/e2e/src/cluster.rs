//! The cluster as a client of the API server sees it: apply, read, list, delete, each on plain JSON.

use crate::environment::Environment;
use anyhow::{Context, Result, bail};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, Preconditions,
    TypeMeta,
};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;

/// Field manager of the tests.
const FIELD_MANAGER: &str = "portolan-e2e";

/// A cluster with the chart installed.
#[derive(Clone)]
pub struct Cluster {
    /// Client with the rights of the administrator.
    pub client: Client,
    /// Location of its files.
    pub environment: Environment,
}

/// Kinds that the tests handle: kind, API group and version, plural.
const KINDS: &[(&str, &str, &str)] = &[
    (
        "CertificateRequest",
        "cert-manager.io/v1",
        "certificaterequests",
    ),
    ("ClusterIssuer", "cert-manager.io/v1", "clusterissuers"),
    ("Certificate", "cert-manager.io/v1", "certificates"),
    ("ConfigMap", "v1", "configmaps"),
    (
        "CustomResourceDefinition",
        "apiextensions.k8s.io/v1",
        "customresourcedefinitions",
    ),
    ("Deployment", "apps/v1", "deployments"),
    ("EndpointSlice", "discovery.k8s.io/v1", "endpointslices"),
    ("Event", "events.k8s.io/v1", "events"),
    ("ExposeClass", "portolan.dev/v1alpha1", "exposeclasses"),
    ("ExposedPort", "portolan.dev/v1alpha1", "exposedports"),
    ("HostnameHold", "portolan.dev/v1alpha1", "hostnameholds"),
    ("Ingress", "networking.k8s.io/v1", "ingresses"),
    ("Issuer", "cert-manager.io/v1", "issuers"),
    ("Lease", "coordination.k8s.io/v1", "leases"),
    ("Namespace", "v1", "namespaces"),
    ("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"),
    ("Pod", "v1", "pods"),
    (
        "PrometheusRule",
        "monitoring.coreos.com/v1",
        "prometheusrules",
    ),
    (
        "ReferenceGrant",
        "gateway.networking.k8s.io/v1",
        "referencegrants",
    ),
    ("Role", "rbac.authorization.k8s.io/v1", "roles"),
    (
        "RoleBinding",
        "rbac.authorization.k8s.io/v1",
        "rolebindings",
    ),
    ("Secret", "v1", "secrets"),
    ("Service", "v1", "services"),
    ("ServiceAccount", "v1", "serviceaccounts"),
];

impl Cluster {
    /// Connects to the cluster that the environment names.
    ///
    /// # Errors
    /// When there is none; the error says how to get one.
    pub async fn reach() -> Result<Self> {
        let environment = Environment::read()?;
        let config = Self::config(&environment).await?;
        let client = Client::try_from(config).context("make a client from KUBECONFIG")?;
        client
            .apiserver_version()
            .await
            .context("the cluster of KUBECONFIG does not answer")?;
        Ok(Self {
            client,
            environment,
        })
    }

    /// The client configuration of the administrator.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read.
    pub async fn config(environment: &Environment) -> Result<Config> {
        let kubeconfig = Kubeconfig::read_from(&environment.kubeconfig)?;
        let options = KubeConfigOptions::default();
        Ok(Config::from_custom_kubeconfig(kubeconfig, &options).await?)
    }

    /// The endpoint for one kind, in a namespace or, with `""`, of the cluster.
    ///
    /// # Errors
    /// When the kind is not among those that the tests handle.
    pub fn api(&self, kind: &str, namespace: &str) -> Result<Api<DynamicObject>> {
        let resource = resource(kind)?;
        Ok(if namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        })
    }

    /// Applies an object on the server's side, as `kubectl apply --server-side --force-conflicts` does.
    ///
    /// # Errors
    /// When the API server rejects it or cannot be reached.
    pub async fn apply(&self, object: &Value) -> Result<Value> {
        let (kind, namespace, name) = key(object)?;
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let api = self.api(kind, namespace)?;
        let applied = api.patch(name, &params, &Patch::Apply(object)).await;
        plain(applied.with_context(|| format!("apply {kind} {namespace}/{name}"))?)
    }

    /// Changes an object by a JSON merge patch.
    ///
    /// # Errors
    /// When the API server rejects it or cannot be reached.
    pub async fn merge(
        &self,
        kind: &str,
        namespace: &str,
        name: &str,
        patch: Value,
    ) -> Result<Value> {
        let api = self.api(kind, namespace)?;
        let merged = api
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await;
        plain(merged.with_context(|| format!("patch {kind} {namespace}/{name}"))?)
    }

    /// Reads an object; `None` when there is none.
    ///
    /// # Errors
    /// When the API server rejects it or cannot be reached.
    pub async fn find(&self, kind: &str, namespace: &str, name: &str) -> Result<Option<Value>> {
        let found = self.api(kind, namespace)?.get_opt(name).await;
        found
            .with_context(|| format!("get {kind} {namespace}/{name}"))?
            .map(plain)
            .transpose()
    }

    /// Reads an object that must be there.
    ///
    /// # Errors
    /// When there is none, or the API server cannot be reached.
    pub async fn get(&self, kind: &str, namespace: &str, name: &str) -> Result<Value> {
        let found = self.find(kind, namespace, name).await?;
        found.with_context(|| format!("{kind} {namespace}/{name}: there is none"))
    }

    /// Lists a kind in a namespace (`""`: in all) by a label selector (`""`: whatever).
    ///
    /// # Errors
    /// When the API server rejects it or cannot be reached.
    pub async fn list(&self, kind: &str, namespace: &str, labels: &str) -> Result<Vec<Value>> {
        let params = ListParams::default().labels(labels);
        let list = self.api(kind, namespace)?.list(&params).await;
        let list = list.with_context(|| format!("list {kind} in {namespace:?}"))?;
        let types = list.types;
        // The items of a list carry no kind of their own.
        let named = list.items.into_iter().map(|mut item| {
            item.types.get_or_insert_with(|| TypeMeta {
                api_version: types.api_version.clone(),
                kind: kind.to_owned(),
            });
            plain(item)
        });
        named.collect()
    }

    /// Deletes an object; one that is not there is deleted already.
    ///
    /// # Errors
    /// When the API server rejects it or cannot be reached.
    pub async fn delete(&self, kind: &str, namespace: &str, name: &str) -> Result<()> {
        match self
            .api(kind, namespace)?
            .delete(name, &DeleteParams::background())
            .await
        {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error).with_context(|| format!("delete {kind} {namespace}/{name}")),
        }
    }

    /// Deletes the object that was read, not one that has taken its name since.
    ///
    /// # Errors
    /// When the API server rejects it or cannot be reached.
    pub async fn delete_exactly(&self, object: &Value) -> Result<()> {
        let (kind, namespace, name) = key(object)?;
        let uid = object
            .pointer("/metadata/uid")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let preconditions = Preconditions {
            uid,
            resource_version: None,
        };
        let params = DeleteParams::background().preconditions(preconditions);
        self.api(kind, namespace)?.delete(name, &params).await?;
        Ok(())
    }

    /// Sets how many pods a Deployment has.
    ///
    /// # Errors
    /// When the API server rejects it or cannot be reached.
    pub async fn scale(&self, namespace: &str, deployment: &str, replicas: u32) -> Result<()> {
        let patch = serde_json::json!({"spec": {"replicas": replicas}});
        self.merge("Deployment", namespace, deployment, patch)
            .await?;
        Ok(())
    }
}

/// Kind, namespace and name of an object.
///
/// # Errors
/// When it has no kind or no name.
pub fn key(object: &Value) -> Result<(&str, &str, &str)> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let kind = text("/kind").context("an object without kind")?;
    let name = text("/metadata/name").context("an object without name")?;
    Ok((kind, text("/metadata/namespace").unwrap_or_default(), name))
}

/// The text at a JSON pointer, empty when there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn resource(kind: &str) -> Result<ApiResource> {
    let Some((_, api_version, plural)) = KINDS.iter().find(|(known, ..)| *known == kind) else {
        bail!("{kind}: a kind that the tests do not handle; add it to KINDS");
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Ok(ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: (*api_version).to_owned(),
        kind: kind.to_owned(),
        plural: (*plural).to_owned(),
    })
}

fn plain(object: DynamicObject) -> Result<Value> {
    Ok(serde_json::to_value(object)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_group_has_no_name() {
        let service = resource("Service").unwrap();
        assert_eq!(
            (service.group.as_str(), service.version.as_str()),
            ("", "v1")
        );
        assert_eq!(resource("Ingress").unwrap().group, "networking.k8s.io");
        assert!(resource("Gadget").is_err());
    }
}

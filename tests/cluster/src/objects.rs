//! The objects that every test cluster begins with: the DNS Service, what CoreDNS may read, and the issuer.

use crate::paths::State;
use crate::pki;
use crate::plan::Plan;
use anyhow::Result;
use serde_json::{Value, json};

/// The name of the ClusterIssuer, and of the Secret with its CA.
pub(crate) const ISSUER: &str = "portolan-test-ca";

/// The name of the ClusterIssuer that asks Pebble, and of the Secret with its account.
pub(crate) const ACME_ISSUER: &str = "portolan-test-acme";

/// Objects to create as soon as the API server answers, as one List.
///
/// # Errors
/// When the CA's files cannot be read.
pub(crate) fn first(state: &State, plan: Plan) -> Result<String> {
    let (dns4, dns6) = plan.dns_service();
    let (node4, node6) = plan.node();
    let ports = json!([{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]);
    let slice = |family: &str, address: String| {
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": format!("kube-dns-{}", family.to_lowercase()), "namespace": "kube-system",
                "labels": {"kubernetes.io/service-name": "kube-dns", "endpointslice.kubernetes.io/managed-by": "testbed.portolan.dev"},
            },
            "addressType": family, "ports": ports,
            "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
        })
    };
    list(&[
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": {"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}},
            "spec": {
                "clusterIP": dns4.to_string(), "clusterIPs": [dns4.to_string(), dns6.to_string()],
                "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack", "ports": ports,
            },
        }),
        slice("IPv4", node4.to_string()),
        slice("IPv6", node6.to_string()),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "testbed:coredns"},
            "rules": [
                {"apiGroups": [""], "resources": ["services", "pods", "namespaces", "nodes"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "testbed:coredns"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "testbed:coredns"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "testbed:coredns"}],
        }),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cert-manager"}}),
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": ISSUER, "namespace": "cert-manager"},
            "data": {"tls.crt": pki::base64_of(state, "test-ca.crt")?, "tls.key": pki::base64_of(state, "test-ca.key")?},
        }),
    ])
}

/// The issuers, which need cert-manager's CRDs.
///
/// # Errors
/// When the CA's file cannot be read.
pub(crate) fn issuers(state: &State, plan: Plan) -> Result<String> {
    let issuer = |name: &str, spec: Value| {
        json!({
            "apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": name}, "spec": spec,
        })
    };
    let (node, _) = plan.node();
    // Without a class: whichever Ingress controller there is may answer the challenge.
    let solvers = json!([{"http01": {"ingress": {"serviceType": "ClusterIP"}}}]);
    let acme = json!({
        "server": format!("https://{node}:14000/dir"), "caBundle": pki::base64_of(state, "ca.crt")?,
        "privateKeySecretRef": {"name": ACME_ISSUER}, "solvers": solvers,
    });
    list(&[
        issuer(ISSUER, json!({"ca": {"secretName": ISSUER}})),
        issuer(ACME_ISSUER, json!({"acme": acme})),
    ])
}

fn list(items: &[Value]) -> Result<String> {
    Ok(serde_json::to_string(
        &json!({"apiVersion": "v1", "kind": "List", "items": items}),
    )?)
}

//! Input of `portolan serve`: the objects that a user would write; JSON is YAML.

use crate::authority::{Authority, Leaf};
use crate::proxy::Setup;
use crate::{PLAIN_HOST, SPEC_HOST, TLS_HOST, Version};
use anyhow::Result;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::path::Path;

/// Writes all of them into a folder.
///
/// # Errors
/// When a certificate cannot be made or a file not be written.
pub(crate) fn write(folder: &Path, authority: &Authority, setup: Setup) -> Result<()> {
    let mut objects = vec![
        service(setup),
        endpoints(setup),
        exposed("plain", PLAIN_HOST, &json!({"mode": "Disabled"})),
    ];
    // h2spec requests one name, over plaintext and TLS.
    for (name, host, redirect) in [("tls", TLS_HOST, true), ("spec", SPEC_HOST, false)] {
        objects.push(certificate(name, &authority.leaf(host, setup.key)?));
        let tls = json!({"secret": {"name": name}, "redirectHTTP": redirect});
        objects.push(exposed(name, host, &tls));
    }
    for (index, object) in objects.iter().enumerate() {
        let text = serde_json::to_vec_pretty(object)?;
        std::fs::write(folder.join(format!("{index}.json")), text)?;
    }
    Ok(())
}

fn service(setup: Setup) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "origin"},
        "spec": {"ports": [{
            "name": "http",
            "port": 80,
            "targetPort": setup.origin.port(),
            "appProtocol": match setup.upstream {
                Version::Http1 => "http",
                Version::Http2 => "kubernetes.io/h2c",
            },
        }]},
    })
}

fn endpoints(setup: Setup) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "origin-1",
            "labels": {"kubernetes.io/service-name": "origin"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": setup.origin.port(), "protocol": "TCP"}],
        "endpoints": [{"addresses": [setup.origin.ip()], "conditions": {"ready": true}}],
    })
}

fn certificate(name: &str, leaf: &Leaf) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name},
        "data": {
            "tls.crt": BASE64_STANDARD.encode(&leaf.chain),
            "tls.key": BASE64_STANDARD.encode(&leaf.key),
        },
    })
}

fn exposed(name: &str, host: &str, tls: &Value) -> Value {
    json!({
        "apiVersion": "portolan.dev/v1alpha1",
        "kind": "ExposedPort",
        "metadata": {"name": name},
        "spec": {"service": "origin", "port": 80, "hostnames": [host], "tls": tls},
    })
}

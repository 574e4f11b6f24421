//! Portolan without Kubernetes, from the same objects as in a cluster.

use crate::candidate::{HOSTS, Ports, Start, Workspace};
use crate::cases::{Key, Upstream};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::fs;

pub(super) fn start(
    workspace: &Workspace,
    ports: Ports,
    upstream: Upstream,
    name: &str,
    workers: u16,
) -> anyhow::Result<Start> {
    let Ports {
        plain, tls, admin, ..
    } = ports;
    let folder = workspace.file(&format!("{name}.files"));
    fs::create_dir_all(&folder)?;
    let objects = objects(workspace, ports, upstream)?;
    let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
    fs::write(folder.join("objects.yaml"), documents.join("\n---\n"))?;
    let arguments: Vec<String> = [
        "serve".to_owned(),
        format!("--files={}", folder.display()),
        format!("--http=127.0.0.1:{plain}"),
        format!("--https=127.0.0.1:{tls}"),
        format!("--admin=127.0.0.1:{admin}"),
        format!("--workers={workers}"),
        "--access-log=off".to_owned(),
    ]
    .into();
    // A thousand objects differ by a number; one stands for all.
    let shown = objects.iter().filter(|object| object["kind"] != "Secret");
    let shown: Vec<String> = shown.take(3).map(Value::to_string).collect();
    Ok(Start {
        program: workspace.portolan.clone(),
        config: format!(
            "portolan {}\n{}\n(and so on for the other hosts, {HOSTS} in all, and two with TLS)",
            arguments.join(" "),
            shown.join("\n---\n")
        ),
        arguments,
    })
}

fn objects(workspace: &Workspace, ports: Ports, upstream: Upstream) -> anyhow::Result<Vec<Value>> {
    let port = match upstream {
        Upstream::Http1 => json!({"name": "http", "port": 80}),
        Upstream::Http2 => json!({"name": "http", "port": 80, "appProtocol": "kubernetes.io/h2c"}),
    };
    let mut objects = vec![
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "origin"},
            "spec": {"ports": [port]},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "origin", "labels": {"kubernetes.io/service-name": "origin"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": ports.origin}],
            "endpoints": [{"addresses": ["127.0.0.1"]}],
        }),
    ];
    for index in 0..HOSTS {
        let host = format!("h{index}");
        objects.push(exposed(&host, &json!({"mode": "Disabled"})));
    }
    for key in [Key::Ecdsa, Key::Rsa] {
        let name = key.name();
        let file = |suffix: &str| -> anyhow::Result<String> {
            Ok(STANDARD.encode(fs::read(workspace.file(&format!("{name}.{suffix}")))?))
        };
        objects.push(json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "type": "kubernetes.io/tls",
            "data": {"tls.crt": file("pem")?, "tls.key": file("key")?},
        }));
        objects.push(exposed(name, &json!({"secret": {"name": name}})));
    }
    Ok(objects)
}

fn exposed(name: &str, tls: &Value) -> Value {
    json!({
        "apiVersion": "portolan.dev/v1alpha1",
        "kind": "ExposedPort",
        "metadata": {"name": name},
        "spec": {
            "service": "origin",
            "port": 80,
            "hostnames": [format!("{name}.bench.test")],
            "tls": tls,
        },
    })
}

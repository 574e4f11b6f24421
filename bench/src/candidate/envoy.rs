//! Envoy, with the same fields added.

use crate::candidate::{Ports, Start, Workspace, hosts};
use crate::cases::Upstream;
use anyhow::Context as _;
use serde_json::{Value, json};
use std::fs;

const TYPES: &str = "type.googleapis.com/envoy.extensions";

pub(super) fn start(
    workspace: &Workspace,
    ports: Ports,
    upstream: Upstream,
) -> anyhow::Result<Start> {
    let program = workspace.envoy.clone().context("envoy is not installed")?;
    let names: Vec<String> = hosts(" ").split_whitespace().map(str::to_owned).collect();
    let config = config(workspace, ports, upstream, &json!(names));
    let file = workspace.file("envoy.json");
    fs::write(&file, serde_json::to_string_pretty(&config)?)?;
    let arguments = [
        "-c",
        &file.display().to_string(),
        "--concurrency",
        "1",
        "-l",
        "error",
        "--use-dynamic-base-id",
    ];
    let shown = self::config(
        workspace,
        ports,
        upstream,
        &json!(format!("the {} hosts", names.len())),
    );
    Ok(Start {
        program,
        arguments: arguments.map(str::to_owned).into(),
        config: serde_json::to_string_pretty(&shown)?,
    })
}

fn config(workspace: &Workspace, ports: Ports, upstream: Upstream, domains: &Value) -> Value {
    let protocol = match upstream {
        Upstream::Http1 => json!({"http_protocol_options": {}}),
        Upstream::Http2 => json!({"http2_protocol_options": {}}),
    };
    let manager = json!([{
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": format!("{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "clients",
            "codec_type": "AUTO",
            "use_remote_address": true,
            "generate_request_id": true,
            "normalize_path": true,
            "upgrade_configs": [{"upgrade_type": "websocket"}],
            "common_http_protocol_options": {"idle_timeout": "60s"},
            "stream_idle_timeout": "3600s",
            "route_config": {"virtual_hosts": [{
                "name": "hosts",
                "domains": domains,
                "request_headers_to_add": [
                    {"header": {"key": "x-real-ip", "value": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"}},
                    {"header": {"key": "x-forwarded-host", "value": "%REQ(:authority)%"}},
                    {"header": {"key": "x-forwarded-port", "value": "%DOWNSTREAM_LOCAL_PORT%"}},
                ],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "origin", "timeout": "0s"}}],
            }]},
            "http_filters": [{
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": format!("{TYPES}.filters.http.router.v3.Router")},
            }],
        },
    }]);
    let address =
        |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    let secure = |name: &str| {
        let file = |suffix: &str| json!({"filename": workspace.file(&format!("{name}.{suffix}"))});
        json!({
            "filter_chain_match": {"server_names": [format!("{name}.bench.test")]},
            "filters": manager,
            "transport_socket": {
                "name": "envoy.transport_sockets.tls",
                "typed_config": {
                    "@type": format!("{TYPES}.transport_sockets.tls.v3.DownstreamTlsContext"),
                    "common_tls_context": {
                        "alpn_protocols": ["h2", "http/1.1"],
                        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"},
                        "tls_certificates": [{"certificate_chain": file("pem"), "private_key": file("key")}],
                    },
                },
            },
        })
    };
    json!({"static_resources": {
        "listeners": [
            {
                "name": "plain",
                "address": address(ports.plain),
                "tcp_backlog_size": 4096,
                "filter_chains": [{"filters": manager}],
            },
            {
                "name": "tls",
                "address": address(ports.tls),
                "tcp_backlog_size": 4096,
                "listener_filters": [{
                    "name": "envoy.filters.listener.tls_inspector",
                    "typed_config": {"@type": format!("{TYPES}.filters.listener.tls_inspector.v3.TlsInspector")},
                }],
                "filter_chains": [secure("ecdsa"), secure("rsa")],
            },
        ],
        "clusters": [{
            "name": "origin",
            "type": "STATIC",
            "connect_timeout": "5s",
            "typed_extension_protocol_options": {
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                    "@type": format!("{TYPES}.upstreams.http.v3.HttpProtocolOptions"),
                    "explicit_http_config": protocol,
                },
            },
            "circuit_breakers": {"thresholds": [{"max_connections": 20000, "max_pending_requests": 20000, "max_requests": 20000}]},
            "load_assignment": {
                "cluster_name": "origin",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(ports.origin)}}]}],
            },
        }],
    }})
}

//! HAProxy: with what Portolan does to every request, and without.

use crate::candidate::{Ports, Start, Workspace, hosts};
use crate::cases::Upstream;
use std::fs;

/// Client and server side of every connection, below the limit of open files.
const CONNECTIONS: usize = 9800;

pub(super) fn start(
    workspace: &Workspace,
    ports: Ports,
    upstream: Upstream,
    features: bool,
) -> anyhow::Result<Start> {
    let map = workspace.file("haproxy.map");
    fs::write(&map, hosts(" origin\n"))?;
    let config = config(workspace, ports, upstream, features);
    let file = workspace.file(if features {
        "haproxy.cfg"
    } else {
        "haproxy-bare.cfg"
    });
    fs::write(&file, &config)?;
    Ok(Start {
        program: "haproxy".into(),
        arguments: vec!["-db".into(), "-f".into(), file.display().to_string()],
        config,
    })
}

fn config(workspace: &Workspace, ports: Ports, upstream: Upstream, features: bool) -> String {
    let proto = match upstream {
        Upstream::Http1 => "",
        Upstream::Http2 => " proto h2",
    };
    let Ports {
        plain, tls, origin, ..
    } = ports;
    let (ecdsa, rsa) = (
        workspace.file("ecdsa.both.pem"),
        workspace.file("rsa.both.pem"),
    );
    let (ecdsa, rsa, map) = (
        ecdsa.display(),
        rsa.display(),
        workspace.file("haproxy.map"),
    );
    let per_request = match features {
        true => format!(
            "    unique-id-format %{{+X}}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid
    unique-id-header X-Request-Id
    option forwardfor
    http-request set-header X-Real-IP %[src]
    http-request set-header X-Forwarded-Proto http if !{{ ssl_fc }}
    http-request set-header X-Forwarded-Proto https if {{ ssl_fc }}
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    http-request set-header X-Forwarded-Port %[dst_port]
    use_backend %[req.hdr(host),lower,map({})]
",
            map.display()
        ),
        false => "    default_backend origin\n".to_owned(),
    };
    format!(
        "global
    nbthread 1
    maxconn {CONNECTIONS}
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode http
    no log
    option http-keep-alive
    http-reuse always
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-keep-alive 60s
    timeout tunnel 1h
frontend clients
    bind 127.0.0.1:{plain} backlog 4096
    bind 127.0.0.1:{tls} backlog 4096 ssl crt {ecdsa} crt {rsa} alpn h2,http/1.1
{per_request}backend origin
    server origin 127.0.0.1:{origin}{proto} pool-max-conn 256 pool-purge-delay 1h
"
    )
}

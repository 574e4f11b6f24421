//! nginx, with the same fields added and connections to the origin kept.

use crate::candidate::{Ports, Start, Workspace, hosts};
use crate::cases::Upstream;
use std::fs;

pub(super) fn start(
    workspace: &Workspace,
    ports: Ports,
    upstream: Upstream,
) -> anyhow::Result<Start> {
    let folder = workspace.file("nginx");
    fs::create_dir_all(&folder)?;
    fs::write(
        workspace.file("nginx.hosts"),
        format!("server_name {};\n", hosts(" ")),
    )?;
    let config = config(workspace, ports, upstream);
    let file = workspace.file("nginx.conf");
    fs::write(&file, &config)?;
    let arguments = [
        "-p",
        &folder.display().to_string(),
        "-c",
        &file.display().to_string(),
    ];
    Ok(Start {
        program: "nginx".into(),
        arguments: arguments.map(str::to_owned).into(),
        config,
    })
}

fn config(workspace: &Workspace, ports: Ports, upstream: Upstream) -> String {
    // Each way upstream has directives of its own.
    let (pass, module) = match upstream {
        Upstream::Http1 => ("proxy_pass http://origin", "proxy"),
        Upstream::Http2 => ("grpc_pass grpc://origin", "grpc"),
    };
    let Ports {
        plain,
        http2,
        tls,
        origin,
        ..
    } = ports;
    let folder = workspace.file("nginx");
    let folder = folder.display();
    let hosts = workspace.file("nginx.hosts");
    // Started by root its worker would be another user, who may not write here.
    let user = match rustix::process::geteuid().is_root() {
        true => "user root;\n",
        false => "",
    };
    let hops = match upstream {
        Upstream::Http1 => {
            "    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
    proxy_http_version 1.1;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header Upgrade $http_upgrade;
"
        }
        Upstream::Http2 => "",
    };
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("    {kind}_temp_path {folder}/{kind};\n"))
        .concat();
    let secure = |name: &str| {
        let (pem, key) = (
            workspace.file(&format!("{name}.pem")),
            workspace.file(&format!("{name}.key")),
        );
        format!(
            "    server {{
        listen 127.0.0.1:{tls} ssl http2 backlog=4096;
        server_name {name}.bench.test;
        ssl_certificate {};
        ssl_certificate_key {};
        location / {{ {pass}; }}
    }}\n",
            pem.display(),
            key.display()
        )
    };
    format!(
        "{user}worker_processes 1;
daemon off;
error_log stderr error;
pid {folder}/pid;
worker_rlimit_nofile 20000;
events {{ worker_connections 19800; }}
http {{
    access_log off;
{temporary}    server_names_hash_max_size 8192;
    keepalive_requests 1000000000;
    keepalive_timeout 60s;
    tcp_nodelay on;
    ssl_protocols TLSv1.2 TLSv1.3;
    upstream origin {{
        server 127.0.0.1:{origin};
        keepalive 256;
        keepalive_requests 1000000000;
        keepalive_timeout 60s;
    }}
{hops}    {module}_connect_timeout 5s;
    {module}_read_timeout 1h;
    {module}_set_header Host $http_host;
    {module}_set_header X-Forwarded-For $remote_addr;
    {module}_set_header X-Real-IP $remote_addr;
    {module}_set_header X-Forwarded-Proto $scheme;
    {module}_set_header X-Forwarded-Host $http_host;
    {module}_set_header X-Forwarded-Port $server_port;
    {module}_set_header X-Request-Id $request_id;
    server {{
        listen 127.0.0.1:{plain} backlog=4096;
        listen 127.0.0.1:{http2} http2 backlog=4096;
        include {};
        location / {{ {pass}; }}
    }}
{}{}}}
",
        hosts.display(),
        secure("ecdsa"),
        secure("rsa").replace(" backlog=4096", "")
    )
}

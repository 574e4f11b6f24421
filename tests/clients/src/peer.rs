//! HAProxy in the place of Portolan, with the same hosts: `PEER=haproxy` runs the tests with it. A
//! test that fails there as well may be wrong itself; one that never fails anywhere shows nothing.

use crate::authority::Authority;
use crate::proxy::Setup;
use crate::{SPEC_HOST, TLS_HOST, Version};
use anyhow::{Result, bail};
use std::net::SocketAddr;
use std::path::Path;
use tokio::process::Command;

/// The peer that is asked for, if one is.
///
/// # Errors
/// When it is none that is known.
pub(crate) fn asked_for() -> Result<bool> {
    match std::env::var("PEER").as_deref() {
        Err(_) | Ok("" | "portolan") => Ok(false),
        Ok("haproxy") => Ok(true),
        Ok(other) => bail!("PEER: {other:?} is unknown; it is portolan or haproxy"),
    }
}

/// HAProxy, ready to be started.
///
/// # Errors
/// When a certificate cannot be made or a file not be written.
pub(crate) fn haproxy(
    folder: &Path,
    authority: &Authority,
    setup: Setup,
    http: SocketAddr,
    https: SocketAddr,
) -> Result<Command> {
    let mut certificates = String::new();
    for host in [TLS_HOST, SPEC_HOST] {
        let leaf = authority.leaf(host, setup.key)?;
        let file = folder.join(format!("{host}.pem"));
        std::fs::write(&file, leaf.chain + &leaf.key)?;
        certificates += &format!(" crt {}", file.display());
    }
    let upstream = match setup.upstream {
        Version::Http1 => "",
        Version::Http2 => " proto h2",
    };
    let file = folder.join("haproxy.cfg");
    let config = format!(
        "global
  nbthread 2
defaults
  mode http
  option abortonclose
  option http-no-delay
  timeout connect 5s
  timeout http-request 10s
  timeout client 60s
  timeout server 60s
  timeout tunnel 1h
frontend all
  bind {http}
  bind {https} ssl{certificates} alpn h2,http/1.1 strict-sni
  default_backend origin
backend origin
  server origin {origin}{upstream}
",
        origin = setup.origin,
    );
    std::fs::write(&file, config)?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&file);
    Ok(command)
}

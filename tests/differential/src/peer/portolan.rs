//! Portolan's data plane in this process: one for each lane, as its routes go by host and not by
//! port.

use super::{Peer, lanes, reachable};
use crate::grammar::HOSTS;
use crate::lane::Lane;
use anyhow::{Context as _, Result, bail};
use portolan_discovery::table::{
    Action, Backend, Endpoint, EndpointSet, Listener, PathMatch, Protocol, Resource, Route,
    UpstreamProtocol, VirtualHost,
};
use portolan_discovery::version::Version;
use portolan_proxy::control::{Batch, Update};
use portolan_proxy::data_plane::{DataPlane, Settings};
use portolan_proxy::limits::Limits;
use portolan_proxy::telemetry::access_log::AccessLogFormat;
use portolan_proxy_core::cidr::Networks;
use portolan_proxy_core::via::Pseudonym;
use std::net::{IpAddr, Ipv4Addr};

/// The name of the origin's endpoints.
const ORIGIN: &str = "t/origin:80";

/// Portolan with this many lanes.
///
/// # Errors
/// A data plane does not start, or refuses its configuration.
pub fn portolan(count: usize) -> Result<Peer<Vec<DataPlane>>> {
    let lanes = lanes(count)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let running = lanes
        .iter()
        .map(|lane| runtime.block_on(serving(lane)))
        .collect::<Result<Vec<_>>>()?;
    reachable(&lanes, || Ok(()))?;
    Ok(Peer { lanes, running })
}

async fn serving(lane: &Lane) -> Result<DataPlane> {
    let plane = DataPlane::start(Settings {
        class: "differential".into(),
        workers: 1,
        https_port: 443,
        addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        limits: Limits::default(),
        connections: 1000,
        access_log: AccessLogFormat::Off,
        memory_limit: None,
        via: Pseudonym::default(),
        // The origin is on loopback.
        denied: Networks::default(),
        name_servers: Vec::new(),
    })
    .context("starting a data plane")?;
    let update = |resource| Update {
        version: Version::of(&resource),
        resource,
        origins: Vec::new(),
    };
    let batch = Batch {
        upserts: resources(lane)?.into_iter().map(update).collect(),
        removals: Vec::new(),
        end_of_snapshot: true,
    };
    for verdict in plane.control().apply(batch).await {
        if let Some(refused) = verdict.refused {
            bail!("{}: {refused}", verdict.name.name);
        }
    }
    Ok(plane)
}

/// A host whose every request goes to the origin.
pub(crate) fn host_to_origin(hostname: &str) -> VirtualHost {
    let action = Action::Forward {
        backends: vec![Backend {
            endpoints: ORIGIN.into(),
            weight: 1,
            protocol: UpstreamProtocol::Http1,
            tls: None,
        }],
    };
    VirtualHost {
        hostname: hostname.into(),
        tls: None,
        routes: vec![Route::new(PathMatch::Prefix("/".into()).into(), action)],
    }
}

fn resources(lane: &Lane) -> Result<Vec<Resource>> {
    let endpoints = Resource::Endpoints(EndpointSet {
        name: ORIGIN.into(),
        endpoints: vec![Endpoint {
            address: lane.origin()?,
            uid: "origin".into(),
        }],
        external: None,
    });
    let host = |hostname: &&str| Resource::VirtualHost(host_to_origin(hostname));
    let listener = Resource::Listener(Listener {
        name: "http".into(),
        port: lane.listener().port(),
        protocol: Protocol::Http,
    });
    Ok([endpoints, listener]
        .into_iter()
        .chain(HOSTS.iter().map(host))
        .collect())
}

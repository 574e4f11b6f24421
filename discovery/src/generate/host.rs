//! Random virtual hosts.

use super::{Named, route};
use crate::table::{ClientCa, ClientCaMode, HostTls, Hsts, TlsVersion, VirtualHost};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::time::Duration;

/// A virtual host before its references are chosen from the existing resources.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    hostname: &'static str,
    tls: Option<TlsPlan>,
    routes: Vec<route::Plan>,
}

#[derive(Clone, Debug)]
struct TlsPlan {
    certificates: Vec<Index>,
    client_ca: Option<(Index, ClientCaMode)>,
    rest: HostTls,
}

pub(super) fn plan() -> impl Strategy<Value = Plan> {
    let hostname = select(&["a.example.com", "b.example.com", "*.example.com"]);
    let routes = prop::collection::vec(route::plan(), 0..3);
    (hostname, prop::option::of(tls()), routes).prop_map(|(hostname, tls, routes)| Plan {
        hostname,
        tls,
        routes,
    })
}

fn tls() -> impl Strategy<Value = TlsPlan> {
    let certificates = prop::collection::vec(any::<Index>(), 0..3);
    let mode = select(&[ClientCaMode::Require, ClientCaMode::Optional]);
    let client_ca = prop::option::of((any::<Index>(), mode));
    let version = || select(&[TlsVersion::V1_2, TlsVersion::V1_3]);
    let hsts = (any::<u32>(), any::<bool>()).prop_map(|(seconds, include_sub_domains)| Hsts {
        max_age: Duration::from_secs(seconds.into()),
        include_sub_domains,
    });
    let rest = (version(), version(), any::<bool>(), prop::option::of(hsts));
    let rest = rest.prop_map(|(min_version, max_version, redirect, hsts)| HostTls {
        min_version,
        max_version,
        redirect,
        hsts,
        ..HostTls::default()
    });
    (certificates, client_ca, rest).prop_map(|(certificates, client_ca, rest)| TlsPlan {
        certificates,
        client_ca,
        rest,
    })
}

impl Plan {
    pub(super) fn build(self, named: &Named) -> VirtualHost {
        let tls = |plan: TlsPlan| HostTls {
            certificates: plan
                .certificates
                .iter()
                .map(|index| index.get(&named.certificates).name.clone())
                .collect(),
            client_ca: plan.client_ca.map(|(trust, mode)| ClientCa {
                trust: trust.get(&named.trust).name.clone(),
                mode,
            }),
            ..plan.rest
        };
        let routes = self.routes.into_iter();
        VirtualHost {
            hostname: self.hostname.to_owned(),
            tls: self.tls.map(tls),
            routes: routes.map(|plan| plan.build(named)).collect(),
        }
    }
}

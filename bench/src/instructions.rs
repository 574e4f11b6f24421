//! Cost of parsing, routing and editing a request in instructions, which is exact where time is noise.

use anyhow::{Context as _, bail};
use portolan_discovery::table::{self, Action, PathMatch, UpstreamProtocol};
use portolan_proxy_core::authority::HostPattern;
use portolan_proxy_core::decide::{CompileContext, Decision, VirtualHost, decide};
use portolan_proxy_core::endpoint::EndpointSet;
use portolan_proxy_core::field::slots;
use portolan_proxy_core::head::Client;
use portolan_proxy_core::headers::{self, Hop};
use portolan_proxy_core::matcher::HostMap;
use portolan_proxy_core::request::RequestHead;
use portolan_proxy_core::via::Pseudonym;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Two runs of different length: what they differ by is requests alone.
const SHORT: u64 = 1_000;
const LONG: u64 = 3_000;

/// Instructions of one request with so many hosts, counted by callgrind.
pub(crate) fn count(hosts: usize, folder: &Path) -> anyhow::Result<f64> {
    let run = |requests: u64| {
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(std::env::current_exe()?)
            .args(["route", &hosts.to_string(), &requests.to_string()])
            .current_dir(folder)
            .output()
            .context("valgrind")?;
        let text = String::from_utf8_lossy(&output.stderr);
        collected(&text).with_context(|| format!("callgrind counted nothing: {text}"))
    };
    let (short, long) = (run(SHORT)?, run(LONG)?);
    Ok((long - short) as f64 / (LONG - SHORT) as f64)
}

/// The total in what callgrind says at the end.
fn collected(text: &str) -> Option<u64> {
    let (_, after) = text.split_once("Collected : ")?;
    after.split_whitespace().next()?.parse().ok()
}

/// Parses, routes and edits so many requests.
pub(crate) fn route(hosts: usize, requests: u64) -> anyhow::Result<()> {
    let endpoints = Arc::new(EndpointSet::new(1, 0));
    endpoints.replace(&[table::Endpoint {
        address: ([10, 0, 0, 1], 8080).into(),
        uid: "pod".to_owned(),
    }]);
    let context = CompileContext {
        workers: 1,
        seed: 0,
        https_port: 443,
    };
    let mut map = HostMap::default();
    for index in 0..hosts {
        let host = table::VirtualHost {
            hostname: name(index),
            tls: None,
            routes: ["/api", "/static", "/"].map(to_origin).into(),
        };
        let find = |_: &table::Backend| Some(Arc::clone(&endpoints));
        let host = VirtualHost::compile(&host, find, context)?;
        map.insert(HostPattern::parse(&name(index))?, Arc::new(host));
    }
    let bench = Bench {
        hosts: map,
        via: Pseudonym::default(),
    };
    // Few enough hosts that the caches see the same in both cases, spread over all there are.
    let asked: Vec<Vec<u8>> = (0..64)
        .map(|index| crate::message::get(&name(index * hosts / 64), 1024, false))
        .collect();
    let mut out = Vec::with_capacity(4096);
    for bytes in asked.iter().cycle().take(requests as usize) {
        out.clear();
        bench.handle(black_box(bytes), &mut out)?;
        black_box(&out);
    }
    Ok(())
}

fn name(index: usize) -> String {
    format!("host-{index:05}.bench.test")
}

fn to_origin(path: &str) -> table::Route {
    let backend = table::Backend {
        endpoints: "bench/origin:80".to_owned(),
        weight: 1,
        protocol: UpstreamProtocol::Http1,
        tls: None,
    };
    let action = Action::Forward {
        backends: vec![backend],
    };
    table::Route::new(PathMatch::Prefix(path.to_owned()).into(), action)
}

/// Inputs of a worker when a head is complete.
struct Bench {
    hosts: HostMap<Arc<VirtualHost<Arc<EndpointSet>>>>,
    via: Pseudonym,
}

impl Bench {
    /// Routes a request as the proxy does, without its logs.
    fn handle(&self, bytes: &[u8], out: &mut Vec<u8>) -> anyhow::Result<()> {
        let mut room = slots();
        let head = match RequestHead::parse(bytes, &mut room) {
            Ok(head) => head,
            Err(reason) => bail!("refused: {}", reason.as_str()),
        };
        let authority = head.authority.as_ref().context("no Host")?;
        let host = self
            .hosts
            .get(authority.host())
            .context("an unknown host")?;
        let client = Client {
            address: "192.0.2.1",
            secure: false,
        };
        let view = head.view(authority, client);
        let Decision::Forward { route, response } = decide(&view, host) else {
            bail!("not forwarded");
        };
        black_box(response);
        let chosen = route
            .choose_backend(0)
            .and_then(|backend| route.backend(backend));
        let set = chosen.context("no backend")?;
        black_box(set.next(0, None).context("no endpoint")?);
        let hop = Hop {
            request_id: "0123456789abcdef0123456789abcdef",
            via: &self.via,
        };
        headers::request(out, &view, route.request(), hop, head.framing, None);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_routed_with_any_number_of_hosts() {
        for hosts in [1, 100] {
            route(hosts, 200).unwrap();
        }
    }

    #[test]
    fn finds_the_total_in_callgrind_output() {
        let text = "==1== Events    : Ir\n==1== Collected : 123456\n==1== \n";
        assert_eq!(collected(text), Some(123_456));
        assert_eq!(collected("==1== killed"), None);
    }
}

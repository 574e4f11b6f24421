//! Ready by force: at every turn from False to True, requests to every ready proxy pod succeed at once,
//! at the first attempt.

use anyhow::{Context, Result, anyhow, bail, ensure};
use fastrand::Rng;
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use kube::runtime::watcher::{self, Event, watcher};
use portolan_e2e::client::{Client, Scheme};
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::{Exposed, KIND, exposed_echo};
use portolan_e2e::pki::{Authority, tls_secret};
use portolan_e2e::proxies::ProxyPod;
use portolan_e2e::{Cluster, TestEnv, test_env};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;
use tokio::time::timeout;

const OBJECTS: usize = 200;
/// Few, because each has a pod of the application.
const NAMESPACES: usize = 5;
/// Every so many objects get their hostnames replaced once they are ready, and must become ready again.
const CHANGED: usize = 8;
/// A class of objects with less than this share would not be tested.
const LEAST_SHARE: usize = OBJECTS / 20;
/// For all of it; cert-manager's pace is what takes long.
const LIMIT: Duration = Duration::from_secs(300);
/// Objects that are created at once.
const AT_ONCE: usize = 16;

/// Source of an object's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tls {
    Disabled,
    OwnSecret,
    Issued,
}

/// One object of the run.
#[derive(Clone, Debug)]
struct Case {
    namespace: String,
    name: String,
    tls: Tls,
    hostnames: Vec<String>,
    /// Hostnames that replace its own, once it is ready.
    then: Option<Vec<String>>,
}

impl Case {
    fn object(&self, hostnames: &[String]) -> Value {
        let names: Vec<&str> = hostnames.iter().map(String::as_str).collect();
        let tls = match self.tls {
            Tls::Disabled => json!({"tls": {"mode": "Disabled"}}),
            Tls::OwnSecret => json!({"tls": {"secret": {"name": "own"}}}),
            Tls::Issued => json!({}),
        };
        exposed_echo(&self.namespace, &self.name, &names, tls)
    }

    /// Number of transitions from False to True that it will make.
    fn turns(&self) -> usize {
        1 + usize::from(self.then.is_some())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_means_every_proxy_serves() -> Result<()> {
    test_env("force", async |env| {
        let cluster = &env.cluster;
        let numbers = 0..NAMESPACES;
        let namespaces =
            try_join_all(numbers.map(async |n| env.namespace(&n.to_string()).await)).await?;
        try_join_all(
            namespaces
                .iter()
                .map(|namespace| cluster.echo(namespace, 1)),
        )
        .await?;
        let cases = cases(env, &namespaces)?;
        let authority = own_secrets(env, &namespaces).await?;
        let proxies = cluster.ready_proxies().await?;
        let clients = Clients {
            issued: cluster.http_client()?,
            own: authority.http_client()?,
        };

        let watched = watch(cluster, &cases, &proxies, &clients);
        let created = stream::iter(cases.values().map(Ok::<_, anyhow::Error>))
            .try_for_each_concurrent(AT_ONCE, async |case| {
                cluster.apply(&case.object(&case.hostnames)).await.map(drop)
            });
        let both = async { tokio::try_join!(watched, created) };
        let limited = timeout(LIMIT, both).await;
        let (turns, ()) = limited.map_err(|_| anyhow!("not all were ready within {LIMIT:?}"))??;
        println!(
            "force: {turns} turns to Ready, each with {} proxies",
            proxies.len()
        );
        // Unchanged proxies are what makes the requests above requests to every one.
        ensure!(
            cluster.ready_proxies().await? == proxies,
            "the proxies changed meanwhile"
        );
        Ok(())
    })
    .await
}

/// Seeded objects of all sorts; none of the sorts is rare.
fn cases(env: &TestEnv, namespaces: &[String]) -> Result<BTreeMap<(String, String), Case>> {
    let mut rng = Rng::with_seed(env.seed);
    let mut cases = BTreeMap::new();
    let mut sorts: BTreeMap<String, usize> = BTreeMap::new();
    for n in 0..OBJECTS {
        let tls = match rng.u32(..100) {
            0..22 => Tls::Issued,
            22..50 => Tls::OwnSecret,
            _ => Tls::Disabled,
        };
        let count = rng.usize(1..=3);
        // The own certificate of each namespace is a wildcard one, so names are one label below.
        let at = rng.usize(..namespaces.len());
        let namespace = namespaces.get(at).context("no namespace")?;
        let below = |i: usize| format!("h{n}-{i}.{}", env.host(&format!("n{at}")));
        let hostnames: Vec<String> = match tls {
            Tls::Issued => vec![below(0)],
            _ => (0..count).map(below).collect(),
        };
        let then = (tls != Tls::Issued && n % CHANGED == 0).then(|| vec![below(count), below(0)]);
        let name = format!("x{n}");
        *sorts.entry(format!("{tls:?}")).or_default() += 1;
        *sorts
            .entry(format!("{} hostnames", hostnames.len()))
            .or_default() += 1;
        *sorts
            .entry(format!("changed: {}", then.is_some()))
            .or_default() += 1;
        let case = Case {
            namespace: namespace.clone(),
            name: name.clone(),
            tls,
            hostnames,
            then,
        };
        cases.insert((namespace.clone(), name), case);
    }
    println!("force: {sorts:?}");
    let rare: Vec<_> = sorts
        .iter()
        .filter(|(_, count)| **count < LEAST_SHARE)
        .collect();
    ensure!(rare.is_empty(), "too rare to be tested: {rare:?}");
    let issued = sorts.get("Issued").copied().unwrap_or_default();
    ensure!(
        issued * 100 >= OBJECTS * 15,
        "only {issued} issued certificates"
    );
    Ok(cases)
}

async fn own_secrets(env: &TestEnv, namespaces: &[String]) -> Result<Authority> {
    let authority = Authority::new()?;
    for (n, namespace) in namespaces.iter().enumerate() {
        let pair = authority.issue(&[&format!("*.{}", env.host(&format!("n{n}")))])?;
        env.cluster
            .apply(&tls_secret(namespace, "own", &pair))
            .await?;
    }
    Ok(authority)
}

struct Clients {
    issued: Client,
    own: Client,
}

/// Follows all objects until each has made all its turns; gives how many that were.
async fn watch(
    cluster: &Cluster,
    cases: &BTreeMap<(String, String), Case>,
    proxies: &[ProxyPod],
    clients: &Clients,
) -> Result<usize> {
    let api = cluster.api(KIND, "")?;
    let mut events = pin!(watcher(api, watcher::Config::default()));
    let mut ready: BTreeSet<(String, String)> = BTreeSet::new();
    let mut made: BTreeMap<(String, String), usize> = BTreeMap::new();
    let wanted: usize = cases.values().map(Case::turns).sum();
    let mut turns = 0;
    while turns < wanted {
        let event = events.next().await.context("the watch ended")?;
        let (Event::Apply(object) | Event::InitApply(object)) = event? else {
            continue;
        };
        let exposed = Exposed(serde_json::to_value(object)?);
        let part = |pointer| text(&exposed.0, pointer).to_owned();
        let key = (part("/metadata/namespace"), part("/metadata/name"));
        let Some(case) = cases.get(&key) else {
            continue;
        };
        if !exposed.is_ready() {
            ready.remove(&key);
            continue;
        }
        if !ready.insert(key.clone()) {
            continue;
        }
        ask_everywhere(case, &exposed, proxies, clients).await?;
        turns += 1;
        let made = made.entry(key.clone()).or_default();
        *made += 1;
        if let (1, Some(then)) = (*made, &case.then) {
            // Its Ready is of an older generation from then on, so the next one is another turn.
            cluster.apply(&case.object(then)).await?;
        }
        if *made > case.turns() {
            bail!(
                "{key:?} became Ready {made} times: it was unready in between without a cause\n{exposed}"
            );
        }
    }
    Ok(turns)
}

/// One request for each hostname to each proxy pod, all at once, none repeated.
async fn ask_everywhere(
    case: &Case,
    exposed: &Exposed,
    proxies: &[ProxyPod],
    clients: &Clients,
) -> Result<()> {
    let names = exposed
        .0
        .pointer("/spec/hostnames")
        .and_then(Value::as_array);
    let names: Vec<&str> = names
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    ensure!(!names.is_empty(), "no hostnames\n{exposed}");
    let (client, scheme) = match case.tls {
        Tls::Disabled => (&clients.issued, Scheme::Http),
        Tls::OwnSecret => (&clients.own, Scheme::Https),
        Tls::Issued => (&clients.issued, Scheme::Https),
    };
    let each = names
        .iter()
        .flat_map(|name| proxies.iter().map(move |proxy| (*name, proxy)));
    let asked = each.map(async |(name, proxy)| {
        let entrypoint = proxy
            .entrypoints()
            .next()
            .with_context(|| format!("{} has no address", proxy.name))?;
        let response = client.get(scheme, entrypoint.at(scheme), name, "/").await;
        let response = response.and_then(|response| response.echo());
        response.with_context(|| {
            format!(
                "Ready was True, yet {} does not serve it\n{exposed}",
                proxy.name
            )
        })
    });
    try_join_all(asked).await.map(drop)
}

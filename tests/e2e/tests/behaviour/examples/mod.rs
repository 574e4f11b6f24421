//! Runs each page of docs/guides/examples on the cluster.

mod page;

use crate::example_setup::{DEFAULT, ExampleSetup, apply, read};
use anyhow::{Context, Result, ensure};
use futures::StreamExt as _;
use page::{Expectation, Page, RequestCase};
use portolan_e2e::client::{Client, Response};
use portolan_e2e::proxies::Entrypoint;
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{TestEnv, test_env};
use std::fs;

/// Pages that run at a time.
const AT_ONCE: usize = 4;

#[tokio::test]
async fn every_example_behaves_as_documented() -> Result<()> {
    let pages = page::all()?;
    ensure!(pages.len() >= 20, "only {} pages", pages.len());
    let played = futures::stream::iter(&pages).map(|page| async move {
        let done = test_env(&page.name, async |env| play(page, env).await).await;
        done.with_context(|| format!("docs/guides/examples/{}.md", page.name))
    });
    let played: Vec<Result<()>> = played.buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<_> = played.into_iter().filter_map(Result::err).collect();
    let errors: Vec<_> = failed.iter().map(|error| format!("{error:#}")).collect();
    ensure!(errors.is_empty(), "{}", errors.join("\n"));
    Ok(())
}

async fn play(page: &Page, env: &TestEnv) -> Result<()> {
    let cluster = &env.cluster;
    let objects = read(cluster, &page.yaml).await?;
    let setup = ExampleSetup::create(env, &objects).await?;
    let (classes, objects) = setup.localize_objects(objects);
    setup.secrets(cluster, &classes).await?;
    setup.secrets(cluster, &objects).await?;
    for class in &classes {
        setup.class(class).await?;
    }
    apply(cluster, &objects).await?;
    setup.applications(cluster, &objects).await?;

    let mut entry = None;
    for expected_status in &page.statuses {
        let namespace = setup.namespace(expected_status.namespace.as_deref().unwrap_or(DEFAULT));
        let name = &expected_status.name;
        match &expected_status.reason {
            None => {
                let exposed = cluster.ready(namespace, name, LATER).await?;
                let entries = exposed.entries()?;
                entry = entry.or_else(|| entries.into_iter().next());
            }
            Some(reason) => {
                cluster.unready(namespace, name, reason, LATER).await?;
            }
        }
    }
    let entry = entry.context("nothing is ready")?;
    let ca = &cluster.environment.ca;
    let mut trusted = fs::read(ca).with_context(|| format!("read {}", ca.display()))?;
    trusted.extend_from_slice(setup.authority.pem().as_bytes());
    let client = Client::with_roots(&trusted)?;
    for request in &page.requests {
        let what = format!("{} {}{}", request.method, request.host, request.path);
        eventually(&what, SOON, async || {
            let response = send(&client, &entry, request, &setup).await?;
            is_as_documented(request, &response, &setup)
        })
        .await?;
    }
    Ok(())
}

async fn send(
    client: &Client,
    at: &Entrypoint,
    request: &RequestCase,
    setup: &ExampleSetup<'_>,
) -> Result<Response> {
    let host = setup.localized(&request.host);
    let mut connection = client
        .connect(request.scheme, at.at(request.scheme), &host)
        .await?;
    let fields = request.fields.iter();
    let fields: Vec<_> = fields
        .map(|(name, value)| (name.as_str(), setup.localized(value)))
        .collect();
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    connection
        .request_with(request.method.clone(), &request.path, &fields)
        .await
}

fn is_as_documented(
    request: &RequestCase,
    response: &Response,
    setup: &ExampleSetup<'_>,
) -> Result<()> {
    let body = String::from_utf8_lossy(&response.body);
    ensure!(
        response.status == request.status,
        "{} {:?}: {}",
        response.status,
        response.header("x-portolan-reason"),
        body.trim()
    );
    for expected in &request.expected {
        match expected {
            Expectation::From(app) => {
                let pod = response.echo()?.pod;
                ensure!(pod.starts_with(&format!("{app}-")), "from {pod}");
            }
            Expectation::Path(path) => {
                let asked = response.echo()?.path;
                ensure!(asked == *path, "asked for {asked}");
            }
            Expectation::Body(text) => ensure!(body == text.as_str(), "{body:?}"),
            Expectation::Field(name, value) => {
                let found = response.header(name);
                ensure!(found == setup.localized(value), "{name}: {found}");
            }
        }
    }
    Ok(())
}

//! Each page of docs/guides/examples does on a cluster what it says.

mod page;

use crate::stage::{DEFAULT, Stage, apply, read};
use anyhow::{Context, Result, ensure};
use futures::StreamExt as _;
use page::{Page, Seen, Visit};
use portolan_e2e::proxies::Way;
use portolan_e2e::visitor::{Answer, Visitor};
use portolan_e2e::wait::{LATER, SOON, eventually};
use portolan_e2e::{Scene, scene};
use std::fs;

/// How many pages at a time.
const AT_ONCE: usize = 4;

#[tokio::test]
async fn every_example_does_what_its_page_says() -> Result<()> {
    let pages = page::all()?;
    ensure!(pages.len() >= 20, "only {} pages", pages.len());
    let played = futures::stream::iter(&pages).map(|page| async move {
        let done = scene(&page.name, async |scene| play(page, scene).await).await;
        done.with_context(|| format!("docs/guides/examples/{}.md", page.name))
    });
    let played: Vec<Result<()>> = played.buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<_> = played.into_iter().filter_map(Result::err).collect();
    let told: Vec<_> = failed.iter().map(|error| format!("{error:#}")).collect();
    ensure!(told.is_empty(), "{}", told.join("\n"));
    Ok(())
}

async fn play(page: &Page, scene: &Scene) -> Result<()> {
    let cluster = &scene.cluster;
    let objects = read(cluster, &page.yaml).await?;
    let stage = Stage::set(scene, &objects).await?;
    let (classes, objects) = stage.cast(objects);
    stage.secrets(cluster, &classes).await?;
    stage.secrets(cluster, &objects).await?;
    for class in &classes {
        stage.class(class).await?;
    }
    apply(cluster, &objects).await?;
    stage.applications(cluster, &objects).await?;

    let mut entry = None;
    for verdict in &page.verdicts {
        let namespace = stage.namespace(verdict.namespace.as_deref().unwrap_or(DEFAULT));
        let name = &verdict.name;
        match &verdict.reason {
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
    trusted.extend_from_slice(stage.authority.pem().as_bytes());
    let visitor = Visitor::trusting(&trusted)?;
    for visit in &page.visits {
        let what = format!("{} {}{}", visit.method, visit.host, visit.path);
        eventually(&what, SOON, async || {
            let answer = ask(&visitor, &entry, visit, &stage).await?;
            as_told(visit, &answer, &stage)
        })
        .await?;
    }
    Ok(())
}

async fn ask(visitor: &Visitor, at: &Way, visit: &Visit, stage: &Stage<'_>) -> Result<Answer> {
    let host = stage.localized(&visit.host);
    let mut connection = visitor
        .visit(visit.scheme, at.at(visit.scheme), &host)
        .await?;
    let fields = visit.fields.iter();
    let fields: Vec<_> = fields
        .map(|(name, value)| (name.as_str(), stage.localized(value)))
        .collect();
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    connection
        .ask_with(visit.method.clone(), &visit.path, &fields)
        .await
}

fn as_told(visit: &Visit, answer: &Answer, stage: &Stage<'_>) -> Result<()> {
    let body = String::from_utf8_lossy(&answer.body);
    ensure!(
        answer.status == visit.status,
        "{} {:?}: {}",
        answer.status,
        answer.header("x-portolan-reason"),
        body.trim()
    );
    for seen in &visit.seen {
        match seen {
            Seen::From(app) => {
                let pod = answer.echo()?.pod;
                ensure!(pod.starts_with(&format!("{app}-")), "from {pod}");
            }
            Seen::Path(path) => {
                let asked = answer.echo()?.path;
                ensure!(asked == *path, "asked for {asked}");
            }
            Seen::Body(text) => ensure!(body == text.as_str(), "{body:?}"),
            Seen::Field(name, value) => {
                let said = answer.header(name);
                ensure!(said == stage.localized(value), "{name}: {said}");
            }
        }
    }
    Ok(())
}

//! Each reason that the files of tests/reasons have is told by the cluster, too.

use crate::stage::{Stage, apply, read};
use anyhow::{Context, Result, bail, ensure};
use futures::StreamExt as _;
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::KIND;
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{Cluster, scene};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// How many files at a time.
const AT_ONCE: usize = 4;

/// Their certificates are for hostnames that are no scene's; certificates.rs has made such.
const CERTIFIED: [&str; 4] = [
    "CertificateExpired",
    "ParentRequiresTls",
    "SecretKeyMismatch",
    "SecretWrongHostname",
];

/// The API server takes no such object, and says why.
const REFUSED: [&str; 3] = ["EndpointRefused", "InvalidHostname", "InvalidSpec"];

#[tokio::test]
async fn each_reason_is_told_of_the_objects_that_have_it() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../reasons");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        let reason = path.file_stem().and_then(|name| name.to_str());
        let reason = reason.unwrap_or_default().to_owned();
        if !CERTIFIED.contains(&reason.as_str()) {
            files.push((reason, fs::read_to_string(&path)?));
        }
    }
    ensure!(files.len() >= 30, "only {} files", files.len());
    let played = futures::stream::iter(&files).map(|(reason, yaml)| async move {
        let done = play(reason, yaml).await;
        done.with_context(|| format!("tests/reasons/{reason}.yaml"))
    });
    let played: Vec<Result<()>> = played.buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<_> = played.into_iter().filter_map(Result::err).collect();
    let told: Vec<_> = failed.iter().map(|error| format!("{error:#}")).collect();
    ensure!(told.is_empty(), "{}", told.join("\n"));
    Ok(())
}

async fn play(reason: &str, yaml: &str) -> Result<()> {
    scene(&reason.to_ascii_lowercase(), async |scene| {
        let cluster = &scene.cluster;
        let objects = read(cluster, yaml).await?;
        let stage = Stage::set(scene, &objects).await?;
        let (classes, objects) = stage.cast(objects);
        for class in &classes {
            stage.class(class).await?;
        }
        let applied = apply(cluster, &objects).await;
        if REFUSED.contains(&reason) {
            ensure!(applied.is_err(), "the API server took it");
            return Ok(());
        }
        applied?;
        eventually(reason, LATER, async || {
            let mut seen = Vec::new();
            for object in objects.iter().filter(|it| text(it, "/kind") == KIND) {
                seen.extend(reasons_of(cluster, object).await?);
            }
            match seen.iter().any(|it| it == reason) {
                true => Ok(()),
                false => bail!("told is {seen:?}"),
            }
        })
        .await
    })
    .await
}

/// What the conditions of an object say.
async fn reasons_of(cluster: &Cluster, object: &Value) -> Result<Vec<String>> {
    let namespace = text(object, "/metadata/namespace");
    let name = text(object, "/metadata/name");
    let exposed = cluster.exposed(namespace, name).await?;
    let conditions = exposed.0.pointer("/status/conditions");
    let conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    Ok(conditions
        .map(|it| text(it, "/reason").to_owned())
        .collect())
}

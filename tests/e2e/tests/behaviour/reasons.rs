//! Each reason that the files of tests/reasons have is told by the cluster, too, and so is each mistake
//! that Contour names, in its sentence.

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

/// The cluster has a default class, which other tests need.
const NOT_HERE: [&str; 1] = ["NoClass"];

/// The API server takes no such object, and says why.
const REFUSED: [&str; 3] = ["EndpointRefused", "InvalidHostname", "InvalidSpec"];

/// A file, and what it must come to.
struct Case {
    name: String,
    yaml: String,
    reason: String,
    /// In these words; absent: in any.
    sentence: Option<String>,
    refused: bool,
}

impl Case {
    /// Named after its reason.
    fn of_reason(name: String, yaml: String) -> Self {
        Self {
            reason: name.clone(),
            sentence: None,
            refused: REFUSED.contains(&name.as_str()),
            name,
            yaml,
        }
    }

    /// Named after a mistake; its head says what it comes to.
    fn of_contour(name: String, yaml: String) -> Result<Self> {
        let head = |field: &str| {
            let field = format!("# {field}: ");
            let found = yaml.lines().find_map(|line| line.strip_prefix(&field));
            found.map(str::to_owned)
        };
        Ok(Self {
            reason: head("reason").context("no reason")?,
            sentence: Some(head("sentence").context("no sentence")?),
            refused: head("refused").is_some(),
            name,
            yaml,
        })
    }
}

#[tokio::test]
async fn each_reason_is_told_of_the_objects_that_have_it() -> Result<()> {
    let files = files("")?.into_iter();
    let here = |(name, _): &(String, String)| {
        !CERTIFIED.contains(&name.as_str()) && !NOT_HERE.contains(&name.as_str())
    };
    let cases = files
        .filter(here)
        .map(|(name, yaml)| Case::of_reason(name, yaml));
    let cases: Vec<_> = cases.collect();
    ensure!(cases.len() >= 40, "only {} files", cases.len());
    play_all(&cases).await
}

#[tokio::test]
async fn each_mistake_that_contour_names_is_told_in_its_sentence() -> Result<()> {
    let files = files("contour")?.into_iter();
    let cases = files.map(|(name, yaml)| Case::of_contour(name, yaml));
    let cases: Vec<_> = cases.collect::<Result<_>>()?;
    ensure!(cases.len() == 8, "{} files", cases.len());
    play_all(&cases).await
}

/// Names without `.yaml`, and what stands in the files.
fn files(folder: &str) -> Result<Vec<(String, String)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../reasons")
        .join(folder);
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_stem().and_then(|name| name.to_str());
            let name = name.context("a name")?.to_owned();
            files.push((name, fs::read_to_string(&path)?));
        }
    }
    Ok(files)
}

async fn play_all(cases: &[Case]) -> Result<()> {
    let played = futures::stream::iter(cases).map(|case| async move {
        let done = play(case).await;
        done.with_context(|| format!("tests/reasons: {}.yaml", case.name))
    });
    let played: Vec<Result<()>> = played.buffer_unordered(AT_ONCE).collect().await;
    let failed: Vec<_> = played.into_iter().filter_map(Result::err).collect();
    let told: Vec<_> = failed.iter().map(|error| format!("{error:#}")).collect();
    ensure!(told.is_empty(), "{}", told.join("\n"));
    Ok(())
}

async fn play(case: &Case) -> Result<()> {
    scene(&case.name.to_ascii_lowercase(), async |scene| {
        let cluster = &scene.cluster;
        let objects = read(cluster, &case.yaml).await?;
        let stage = Stage::set(scene, &objects).await?;
        let (classes, objects) = stage.cast(objects);
        for class in &classes {
            stage.class(class).await?;
        }
        let applied = apply(cluster, &objects).await;
        if case.refused {
            let refusal = applied.err().context("the API server took it")?;
            let refusal = format!("{refusal:#}");
            // A schema knows neither this scene's names nor places in lists.
            let told = case.sentence.as_deref().map(without_numbers);
            let told = told.unwrap_or_default();
            ensure!(refusal.contains(&told), "{refusal}\nlacks: {told}");
            return Ok(());
        }
        applied?;
        let sentence = case.sentence.as_ref().map(|it| stage.told(it));
        eventually(&case.reason, LATER, async || {
            let mut seen = Vec::new();
            for object in objects.iter().filter(|it| text(it, "/kind") == KIND) {
                seen.extend(told_of(cluster, object).await?);
            }
            let expected = |(reason, message): &(String, String)| {
                *reason == case.reason && sentence.as_ref().is_none_or(|it| it == message)
            };
            match seen.iter().any(expected) {
                true => Ok(()),
                false => bail!("told is {seen:#?}"),
            }
        })
        .await
    })
    .await
}

/// Without the numbers in lists, which a schema does not know.
fn without_numbers(sentence: &str) -> String {
    let mut parts = sentence.split('[');
    let first = parts.next().unwrap_or_default();
    let rest = parts.filter_map(|part| Some(part.split_once(']')?.1));
    [first].into_iter().chain(rest).collect()
}

/// Reason and message of each condition of an object.
async fn told_of(cluster: &Cluster, object: &Value) -> Result<Vec<(String, String)>> {
    let namespace = text(object, "/metadata/namespace");
    let name = text(object, "/metadata/name");
    let exposed = cluster.exposed(namespace, name).await?;
    let conditions = exposed.0.pointer("/status/conditions");
    let conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    let part = |it: &Value, at: &str| text(it, at).to_owned();
    Ok(conditions
        .map(|it| (part(it, "/reason"), part(it, "/message")))
        .collect())
}

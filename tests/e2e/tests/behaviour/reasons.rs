//! Each reason that the files of tests/reasons have is reported by the cluster, too, and so is each error
//! that Contour names, in its sentence.

use crate::example_setup::{ExampleSetup, apply, read};
use anyhow::{Context, Result, ensure};
use futures::StreamExt as _;
use portolan_e2e::cluster::text;
use portolan_e2e::exposed::KIND;
use portolan_e2e::wait::{LATER, eventually};
use portolan_e2e::{Cluster, test_env};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Files that run at a time.
const AT_ONCE: usize = 4;

/// Their certificates are for hostnames outside of every test environment; certificates.rs has made such.
const CERTIFIED: [&str; 4] = [
    "CertificateExpired",
    "ParentRequiresTls",
    "SecretKeyMismatch",
    "SecretWrongHostname",
];

/// The cluster has a default class, which other tests need.
const NOT_HERE: [&str; 1] = ["NoClass"];

/// Reasons for which the API server rejects the object.
const REFUSED: [&str; 3] = ["EndpointRefused", "InvalidHostname", "InvalidSpec"];

/// A file and the expected condition.
struct Case {
    name: String,
    yaml: String,
    reason: String,
    /// Its message; absent: any.
    message: Option<String>,
    refused: bool,
}

impl Case {
    /// Named after its reason.
    fn of_reason(name: String, yaml: String) -> Self {
        Self {
            reason: name.clone(),
            message: None,
            refused: REFUSED.contains(&name.as_str()),
            name,
            yaml,
        }
    }

    /// Named after an error; its head has the expected reason and message.
    fn of_contour(name: String, yaml: String) -> Result<Self> {
        let head = |field: &str| {
            let field = format!("# {field}: ");
            let found = yaml.lines().find_map(|line| line.strip_prefix(&field));
            found.map(str::to_owned)
        };
        Ok(Self {
            reason: head("reason").context("no reason")?,
            message: Some(head("sentence").context("no sentence")?),
            refused: head("refused").is_some(),
            name,
            yaml,
        })
    }
}

#[tokio::test]
async fn each_reason_is_reported_in_status() -> Result<()> {
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
async fn each_contour_error_is_reported_with_its_message() -> Result<()> {
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
    let errors: Vec<_> = failed.iter().map(|error| format!("{error:#}")).collect();
    ensure!(errors.is_empty(), "{}", errors.join("\n"));
    Ok(())
}

async fn play(case: &Case) -> Result<()> {
    test_env(&case.name.to_ascii_lowercase(), async |env| {
        let cluster = &env.cluster;
        let objects = read(cluster, &case.yaml).await?;
        let setup = ExampleSetup::create(env, &objects).await?;
        let (classes, objects) = setup.localize_objects(objects);
        for class in &classes {
            setup.class(class).await?;
        }
        let applied = apply(cluster, &objects).await;
        if case.refused {
            let refusal = applied.err().context("the API server took it")?;
            let refusal = format!("{refusal:#}");
            let expected = case.message.as_deref().unwrap_or_default();
            ensure!(refusal.contains(expected), "{refusal}\nlacks: {expected}");
            return Ok(());
        }
        applied?;
        let message = case
            .message
            .as_ref()
            .map(|message| setup.localized_message(message));
        eventually(&case.reason, LATER, async || {
            let mut seen = Vec::new();
            for object in objects
                .iter()
                .filter(|object| text(object, "/kind") == KIND)
            {
                seen.extend(conditions_of(cluster, object).await?);
            }
            let expected = |(reason, text): &(String, String)| {
                *reason == case.reason && message.as_ref().is_none_or(|message| message == text)
            };
            ensure!(seen.iter().any(expected), "conditions: {seen:#?}");
            Ok(())
        })
        .await
    })
    .await
}

/// Reason and message of each condition of an object.
async fn conditions_of(cluster: &Cluster, object: &Value) -> Result<Vec<(String, String)>> {
    let namespace = text(object, "/metadata/namespace");
    let name = text(object, "/metadata/name");
    let exposed = cluster.exposed(namespace, name).await?;
    let conditions = exposed.0.pointer("/status/conditions");
    let conditions = conditions.and_then(Value::as_array).into_iter().flatten();
    let part = |condition: &Value, at: &str| text(condition, at).to_owned();
    Ok(conditions
        .map(|condition| (part(condition, "/reason"), part(condition, "/message")))
        .collect())
}

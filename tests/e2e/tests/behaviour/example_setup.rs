//! Setup for objects that are written as examples: hostnames, namespaces and classes of the
//! environment in the place of those that are written, their applications, and the Secrets that their reader
//! has.

#![allow(clippy::indexing_slicing)] // A test that cannot go on panics.

mod applications;

use anyhow::{Context, Result};
use portolan_e2e::cluster::text;
use portolan_e2e::pki::Authority;
use portolan_e2e::{Cluster, ISSUER, TestEnv};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Domain of the pages, replaced by one of the environment.
const DOMAIN: &str = "example.com";
/// Namespace of the applications that a page has outside of the cluster.
const OUTSIDE: &str = "outside";
/// Namespace in which a page is applied.
pub(crate) const DEFAULT: &str = "default";

pub(crate) struct ExampleSetup<'a> {
    env: &'a TestEnv,
    /// By their names on the page.
    namespaces: BTreeMap<String, String>,
    classes: BTreeMap<String, String>,
    domain: String,
    pub(crate) authority: Authority,
}

impl<'a> ExampleSetup<'a> {
    /// Creates what an example needs.
    pub(crate) async fn create(env: &'a TestEnv, objects: &[Value]) -> Result<Self> {
        let mut named = BTreeSet::new();
        let mut classes = BTreeMap::new();
        for object in objects {
            names_of(object, "namespace", &mut named);
            match text(object, "/kind") {
                "ExposeClass" => {
                    let name = text(object, "/metadata/name");
                    classes.insert(name.to_owned(), env.label(name));
                }
                "Namespace" => {
                    named.insert(text(object, "/metadata/name").to_owned());
                }
                _ if is_outside(text(object, "/spec/externalName")) => {
                    named.extend([DEFAULT, OUTSIDE].map(str::to_owned));
                }
                _ if object.pointer("/metadata/namespace").is_none() => {
                    named.insert(DEFAULT.to_owned());
                }
                _ => {}
            }
        }
        let mut namespaces = BTreeMap::new();
        for name in named {
            let made = env.namespace(&name).await?;
            namespaces.insert(name, made);
        }
        Ok(Self {
            env,
            namespaces,
            classes,
            domain: env.host("x"),
            authority: Authority::new()?,
        })
    }

    pub(crate) fn namespace<'b>(&'b self, name: &'b str) -> &'b str {
        self.namespaces.get(name).map_or(name, String::as_str)
    }

    /// Replaces the domain in a text of the page.
    pub(crate) fn localized(&self, text: &str) -> String {
        text.replace(DOMAIN, &self.domain)
    }

    /// Replaces namespaces and classes, too, as in a message of the operator.
    pub(crate) fn localized_message(&self, sentence: &str) -> String {
        let sentence = self.localized(sentence);
        let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.');
        let words = sentence.split_inclusive(ends).map(|word| {
            let name = word.trim_end_matches(ends);
            let here = self.namespaces.get(name).or(self.classes.get(name));
            word.replacen(name, here.map_or(name, String::as_str), 1)
        });
        words.collect()
    }

    /// Replaces names in an object of the page.
    pub(crate) fn object(&self, mut object: Value) -> Value {
        match text(&object, "/kind") {
            "ExposeClass" => {}
            "Namespace" => {
                let name = self.namespace(text(&object, "/metadata/name")).to_owned();
                object["metadata"]["name"] = name.into();
            }
            _ if object.pointer("/metadata/namespace").is_none() => {
                object["metadata"]["namespace"] = DEFAULT.into();
            }
            _ => {}
        }
        self.rename(&mut object, "");
        object
    }

    fn rename(&self, value: &mut Value, field: &str) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    self.rename(value, name);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.rename(item, field);
                }
            }
            Value::String(text) => {
                *text = match field {
                    "namespace" | "namespaces" | "rootNamespaces" => {
                        self.namespace(text).to_owned()
                    }
                    "externalName" if is_outside(text) => self.inside(text),
                    "className" => self.classes.get(text).unwrap_or(text).clone(),
                    _ => self.localized(text),
                };
            }
            _ => {}
        }
    }

    /// Creates a class of the page, with one proxy unless it sets another number, and the issuer of the tests.
    pub(crate) async fn class(&self, object: &Value) -> Result<()> {
        let mut spec = object["spec"].clone();
        if spec.get("proxy").is_none() {
            spec["proxy"] = json!({"replicas": 1});
        }
        if let Some(name) = spec.pointer_mut("/issuerRef/name") {
            *name = ISSUER.into();
        }
        let name = text(object, "/metadata/name");
        self.env.class(name, spec).await.map(drop)
    }

    /// Replaces names in all objects, and splits the classes off.
    pub(crate) fn localize_objects(&self, objects: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
        let here = objects.into_iter().map(|object| self.object(object));
        here.partition(|object| text(object, "/kind") == "ExposeClass")
    }

    /// Creates the Secrets with certificates that the objects name.
    pub(crate) async fn secrets(&self, cluster: &Cluster, objects: &[Value]) -> Result<()> {
        for object in objects {
            let own = object.pointer("/spec/tls/secret/name");
            if let Some(name) = own.and_then(Value::as_str) {
                let elsewhere = text(object, "/spec/tls/secret/namespace");
                let namespace = match elsewhere {
                    "" => text(object, "/metadata/namespace"),
                    elsewhere => elsewhere,
                };
                self.secret(cluster, namespace, name, &object["spec"]["hostnames"])
                    .await?;
            }
            let shared = object.pointer("/spec/certificates/shared");
            for one in shared.and_then(Value::as_array).into_iter().flatten() {
                let namespace = text(one, "/secret/namespace");
                let name = text(one, "/secret/name");
                self.secret(cluster, namespace, name, &one["hostnames"])
                    .await?;
            }
        }
        Ok(())
    }

    async fn secret(
        &self,
        cluster: &Cluster,
        namespace: &str,
        name: &str,
        hostnames: &Value,
    ) -> Result<()> {
        let hostnames: Vec<_> = hostnames
            .as_array()
            .context("no hostnames")?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let secret = self.authority.secret(namespace, name, &hostnames)?;
        cluster.apply(&secret).await.map(drop)
    }
}

/// Objects as kubectl reads them.
pub(crate) async fn read(cluster: &Cluster, yaml: &str) -> Result<Vec<Value>> {
    let arguments = [
        "create",
        "--dry-run=client",
        "--validate=false",
        "-o",
        "json",
        "-f",
        "-",
    ];
    let output = cluster.kubectl_with(&arguments, yaml).await?;
    let documents = serde_json::Deserializer::from_str(&output).into_iter::<Value>();
    let mut objects = Vec::new();
    for document in documents {
        let mut document = document?;
        match document.get_mut("items").and_then(Value::as_array_mut) {
            Some(items) => objects.append(items),
            None => objects.push(document),
        }
    }
    Ok(objects)
}

/// Applies objects as a person does.
pub(crate) async fn apply(cluster: &Cluster, objects: &[Value]) -> Result<()> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let arguments = ["apply", "--server-side", "-f", "-"];
    let output = cluster.kubectl_with(&arguments, &list.to_string()).await;
    output.map(drop)
}

/// Returns true if a name is one of a page, and of nothing in the cluster.
fn is_outside(name: &str) -> bool {
    name.strip_suffix(DOMAIN)
        .is_some_and(|prefix| prefix.ends_with('.'))
}

/// Every text below a field of this name.
fn names_of(value: &Value, field: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str() {
                    Some(text) if name == field => {
                        found.insert(text.to_owned());
                    }
                    _ => names_of(value, field, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| names_of(item, field, found)),
        _ => {}
    }
}

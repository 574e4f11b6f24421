//! `portolan render`: what the operator would make of files.

use super::Files;
use super::model::Model;
use crate::files::Key;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use portolan_core::{ClassName, ObjectRef, Subject};
use portolan_discovery::table::{Kind, Resource, ResourceName};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;

mod host;

/// What `portolan render --help` ends with.
pub(crate) const RENDER_EXAMPLE: &str = "\
Examples:
  portolan render -f deploy/                     everything
  portolan render -f shop.yaml -o json | jq '.virtualHosts[].routes'

For each ExposedPort, and each hostname of an Ingress that is served: the
objects that the operator would make for it, and the status that it would write
before any proxy runs. For each ExposeClass: the
NetworkPolicies that it would store in the namespaces that the class restricts,
as far as these are among the files. For each hostname: the routes in the order
in which they are tried, with every value in force, whether it comes from the
route, the object, the class or Portolan. Private keys are not shown. What
cannot be read is told on standard error, and the rest is rendered.
Exit codes: 0 ok, 1 something could not be read, 2 usage.";

/// What is rendered, and how.
#[derive(Debug, Args)]
pub(crate) struct Render {
    #[command(flatten)]
    files: Files,
    /// How it is written
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// How it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A YAML document.
    #[default]
    Yaml,
    /// A JSON object.
    Json,
}

/// Everything that follows from the files.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rendered {
    exposed_ports: Vec<Exposed>,
    /// One for each hostname.
    ingresses: Vec<Exposed>,
    expose_classes: Vec<Class>,
    virtual_hosts: Vec<Value>,
}

#[derive(Debug, Serialize)]
struct Exposed {
    namespace: String,
    name: String,
    /// Of an Ingress: which of its hostnames.
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    /// File and line.
    place: String,
    status: Option<Value>,
    children: Vec<Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Class {
    name: String,
    /// File and line.
    place: String,
    /// What is stored in the namespaces of others.
    network_policies: Vec<Value>,
}

impl Render {
    /// Writes it.
    ///
    /// # Errors
    /// When nobody reads it.
    pub(crate) fn run(&self) -> io::Result<ExitCode> {
        let model = Model::read(&self.files.paths, Timestamp::now());
        for trouble in &model.troubles {
            eprintln!("{trouble}");
        }
        for class in &model.assumed {
            eprintln!(
                "ExposeClass {class}: not among the files; assumed to have an issuer and a domain"
            );
        }
        let rendered = Rendered::of(&model)?;
        let text = match self.output {
            Output::Yaml => serde_yaml::to_string(&rendered).map_err(io::Error::other)?,
            Output::Json => serde_json::to_string_pretty(&rendered)? + "\n",
        };
        io::stdout().lock().write_all(text.as_bytes())?;
        Ok(match model.troubles.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }
}

impl Rendered {
    fn of(model: &Model) -> io::Result<Self> {
        let index = &model.store.index;
        let objects: Vec<_> = model.store.objects().cloned().collect();
        let ingresses = model.store.ingresses();
        let of_ingresses: Vec<_> = ingresses
            .flat_map(|it| index.hosts_of_ingress(it))
            .collect();
        let all = objects.iter().chain(&of_ingresses);
        let resources = all.flat_map(|object| index.resources_of(object));
        let hosts: BTreeSet<(ClassName, ResourceName)> = resources
            .filter(|(_, name)| name.kind == Kind::VirtualHost)
            .collect();
        let each = |objects: &[Subject]| -> io::Result<Vec<_>> {
            objects
                .iter()
                .map(|object| exposed(model, object))
                .collect()
        };
        let virtual_hosts =
            hosts
                .iter()
                .filter_map(|(class, name)| match index.resource(class, name)?.0 {
                    Resource::VirtualHost(it) => Some(host::render(class, &it)),
                    _ => None,
                });
        let classes = model.store.classes();
        Ok(Self {
            exposed_ports: each(&objects)?,
            ingresses: each(&of_ingresses)?,
            expose_classes: classes.filter_map(|it| class(model, it)).collect(),
            virtual_hosts: virtual_hosts.collect(),
        })
    }
}

fn class(model: &Model, class: &ObjectRef) -> Option<Class> {
    let name = ClassName::parse(&class.name)?;
    let denials = model.store.index.denials(&name).into_iter();
    Some(Class {
        place: place(model, &Key::expose_class(class)),
        name: class.name.clone(),
        network_policies: denials.map(|child| child.value).collect(),
    })
}

fn place(model: &Model, key: &Key) -> String {
    let (file, line) = model.place(key, "");
    format!("{file}:{line}")
}

fn exposed(model: &Model, object: &Subject) -> io::Result<Exposed> {
    let index = &model.store.index;
    let status = index.status(object, &model.seen(object), model.now());
    let status = status.map(|mut status| {
        let told = |text: &mut String| *text = index.in_terms_of_ingress(object, text);
        told(&mut status.description);
        status
            .conditions
            .iter_mut()
            .for_each(|it| told(&mut it.message));
        status
            .hostnames
            .iter_mut()
            .for_each(|it| told(&mut it.message));
        status
    });
    let children = index.children(object).into_iter();
    let key = match object {
        Subject::IngressHost { ingress, .. } => Key::ingress(ingress),
        Subject::ExposedPort(object) => Key::exposed_port(object),
    };
    Ok(Exposed {
        namespace: object.namespace().to_owned(),
        name: object.name().to_owned(),
        hostname: object.host().map(ToString::to_string),
        place: place(model, &key),
        status: status.map(serde_json::to_value).transpose()?,
        children: children.map(|child| child.value).collect(),
    })
}

#[cfg(test)]
mod tests;

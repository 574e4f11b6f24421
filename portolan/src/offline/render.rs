//! `portolan render`: result of the operator for files.

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

/// End of `portolan render --help`.
pub(crate) const RENDER_EXAMPLE: &str = "\
Examples:
  portolan render -f deploy/                     everything
  portolan render -f shop.yaml -o json | jq '.virtualHosts[].routes'

For each ExposedPort, and each served hostname of an Ingress: the objects that
the operator would create for it, and its status before any proxy runs. For each
ExposeClass: its NetworkPolicies in the restricted namespaces that are among the
files. For each hostname: the routes in the order of matching, with every
effective value, from the route, the object, the class or Portolan. Private keys
are omitted. Errors are printed to standard error, and the rest is rendered.
Exit codes: 0 ok, 1 some files are invalid, 2 usage.";

/// Options of `render`.
#[derive(Debug, Args)]
pub(crate) struct Render {
    #[command(flatten)]
    files: Files,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Output {
    /// A YAML document.
    #[default]
    Yaml,
    /// A JSON object.
    Json,
}

/// Result of the operator.
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
    /// Hostname of an Ingress.
    #[serde(skip_serializing_if = "Option::is_none")]
    hostname: Option<String>,
    /// File and line.
    location: String,
    status: Option<Value>,
    children: Vec<Value>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Class {
    name: String,
    /// File and line.
    location: String,
    /// NetworkPolicies in restricted namespaces.
    network_policies: Vec<Value>,
}

impl Render {
    /// Prints the result.
    ///
    /// # Errors
    /// Writing failed.
    pub(crate) fn run(&self) -> io::Result<ExitCode> {
        let model = Model::read(&self.files.paths, Timestamp::now());
        for diagnostic in &model.diagnostics {
            eprintln!("error: {diagnostic}");
        }
        for class in &model.assumed {
            eprintln!(
                "warning: ExposeClass {class}: not among the files; assumed to have an issuer and a domain"
            );
        }
        let rendered = Rendered::of(&model)?;
        let text = match self.output {
            Output::Yaml => serde_yaml::to_string(&rendered).map_err(io::Error::other)?,
            Output::Json => serde_json::to_string_pretty(&rendered)? + "\n",
        };
        io::stdout().lock().write_all(text.as_bytes())?;
        Ok(if model.diagnostics.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

impl Rendered {
    fn of(model: &Model) -> io::Result<Self> {
        let index = &model.store.index;
        let objects: Vec<_> = model.store.objects().cloned().collect();
        let ingresses = model.store.ingresses();
        let of_ingresses: Vec<_> = ingresses
            .flat_map(|ingress| index.hosts_of_ingress(ingress))
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
                    Resource::VirtualHost(host) => Some(host::render(class, &host)),
                    _ => None,
                });
        let classes = model.store.classes();
        Ok(Self {
            exposed_ports: each(&objects)?,
            ingresses: each(&of_ingresses)?,
            expose_classes: classes.filter_map(|name| class(model, name)).collect(),
            virtual_hosts: virtual_hosts.collect(),
        })
    }
}

fn class(model: &Model, class: &ObjectRef) -> Option<Class> {
    let name = ClassName::parse(&class.name)?;
    let denials = model.store.index.denials(&name).into_iter();
    Some(Class {
        location: location(model, &Key::expose_class(class)),
        name: class.name.clone(),
        network_policies: denials.map(|child| child.value).collect(),
    })
}

fn location(model: &Model, key: &Key) -> String {
    let (file, line) = model.location(key, "");
    format!("{file}:{line}")
}

fn exposed(model: &Model, object: &Subject) -> io::Result<Exposed> {
    let index = &model.store.index;
    let status = index.status(object, &model.observed(object), model.now());
    let status = status.map(|mut status| {
        let reword = |text: &mut String| *text = index.in_terms_of_ingress(object, text);
        reword(&mut status.description);
        status
            .conditions
            .iter_mut()
            .for_each(|condition| reword(&mut condition.message));
        status
            .hostnames
            .iter_mut()
            .for_each(|host| reword(&mut host.message));
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
        location: location(model, &key),
        status: status.map(serde_json::to_value).transpose()?,
        children: children.map(|child| child.value).collect(),
    })
}

#[cfg(test)]
mod tests;

//! A document as an object: its kind, its name, its fields, each fault with its place.

use super::object::{Key, Kind, Object};
use super::yaml::{Document, Lines};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use portolan_core::{ClassName, NAMESPACE_NAME, ObjectRef};
use portolan_crds::{AllowedEndpoints, GROUP};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Where an object is that names no namespace.
const DEFAULT_NAMESPACE: &str = "default";

/// Who is to do what the objects say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Home {
    /// This process, which has no pods.
    #[default]
    Here,
    /// A cluster.
    Cluster,
}

/// What is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) line: usize,
    /// The object, once that much is known.
    pub(crate) object: Option<Key>,
    /// Empty when it is about the whole document.
    pub(crate) field: String,
    pub(crate) problem: String,
}

/// What became of a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Read {
        key: Key,
        lines: Lines,
        object: Object,
    },
    /// Of a kind that is not ours to read.
    Other {
        kind: String,
    },
    Broken(Fault),
}

/// Reads a document: one object, or the items of a List, as `kubectl get -o yaml` prints one.
pub(crate) fn read(document: Document, home: Home) -> Vec<Outcome> {
    let Document { mut value, lines } = document;
    let is_list = text(&value, "kind") == Some("List") && text(&value, "apiVersion") == Some("v1");
    let Some(Value::Array(items)) = value.get_mut("items").filter(|_| is_list).map(Value::take)
    else {
        return vec![one(value, lines, home)];
    };
    let item = |(index, item)| one(item, lines.below(&format!("items[{index}]")), home);
    items.into_iter().enumerate().map(item).collect()
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}

fn one(mut value: Value, lines: Lines, home: Home) -> Outcome {
    let fault = |object: Option<&Key>, field: &str, problem: String| {
        Outcome::Broken(Fault {
            line: lines.of(field),
            object: object.cloned(),
            field: field.to_owned(),
            problem,
        })
    };
    let kind = match kind(&value) {
        Ok(Some(kind)) => kind,
        Ok(None) => {
            let kind = text(&value, "kind").unwrap_or_default().to_owned();
            return Outcome::Other { kind };
        }
        Err((field, problem)) => return fault(None, field, problem),
    };
    let of_ingresses = [Kind::Ingress, Kind::IngressClass].contains(&kind);
    if home == Home::Here && of_ingresses {
        let kind = kind.as_str().to_owned();
        return Outcome::Other { kind };
    }
    let object = match identity(&value, kind) {
        Ok(object) => object,
        Err((field, problem)) => return fault(None, field, problem),
    };
    let key = Key { kind, object };
    // What a cluster said about the object is nothing that it says.
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    let read = match kind {
        Kind::ExposeClass => typed(&value).map(Object::ExposeClass),
        Kind::IngressClass => typed(&value).map(Object::IngressClass),
        Kind::Namespace => typed(&value).map(Object::Namespace),
        Kind::Service => typed(&value).map(Object::Service),
        Kind::EndpointSlice => typed(&value).map(Object::EndpointSlice),
        Kind::Secret => typed(&value).map(Object::Secret),
        Kind::ReferenceGrant => typed(&value).map(Object::ReferenceGrant),
        Kind::ExposedPort => typed(&value).map(Object::ExposedPort),
        Kind::Ingress => typed(&value).map(Object::Ingress),
    };
    let mut object = match read {
        Ok(object) => object,
        Err((field, problem)) => return fault(Some(&key), &field, problem),
    };
    if let (Home::Here, Err((field, problem))) = (home, needs_cluster(&object)) {
        return fault(Some(&key), field, problem);
    }
    match &mut object {
        Object::Secret(secret) => merge_string_data(secret),
        Object::Namespace(namespace) => add_name(namespace),
        _ => {}
    }
    object.metadata().namespace = Some(key.object.namespace.clone()).filter(|it| !it.is_empty());
    Outcome::Read { key, lines, object }
}

type Problem = (&'static str, String);

/// `None` for what others read.
fn kind(value: &Value) -> Result<Option<Kind>, Problem> {
    if !value.is_object() {
        let problem = "this is no object; write apiVersion, kind, metadata and spec".to_owned();
        return Err(("", problem));
    }
    let required = |field: &'static str, example: &str| {
        text(value, field)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| {
                (
                    field,
                    format!("it is missing or no text; write it, such as {example}"),
                )
            })
    };
    let version = required("apiVersion", "portolan.dev/v1alpha1")?;
    let kind = required("kind", "ExposedPort")?;
    Ok(Some(match (version, kind) {
        ("portolan.dev/v1alpha1", "ExposedPort") => Kind::ExposedPort,
        ("portolan.dev/v1alpha1", "ExposeClass") => Kind::ExposeClass,
        // The operator's own note, in a folder that was copied from a cluster; here holds are made anew.
        ("portolan.dev/v1alpha1", "HostnameHold") => return Ok(None),
        ("v1", "Service") => Kind::Service,
        ("v1", "Secret") => Kind::Secret,
        ("v1", "Namespace") => Kind::Namespace,
        ("discovery.k8s.io/v1", "EndpointSlice") => Kind::EndpointSlice,
        ("networking.k8s.io/v1", "Ingress") => Kind::Ingress,
        ("networking.k8s.io/v1", "IngressClass") => Kind::IngressClass,
        (
            "gateway.networking.k8s.io/v1" | "gateway.networking.k8s.io/v1beta1",
            "ReferenceGrant",
        ) => Kind::ReferenceGrant,
        (_, "ExposedPort" | "ExposeClass") => {
            let problem = format!("{version} is unknown; write {GROUP}/v1alpha1");
            return Err(("apiVersion", problem));
        }
        _ if version.starts_with(GROUP) => {
            let problem = format!("{kind} is unknown; the kinds are ExposedPort and ExposeClass");
            return Err(("kind", problem));
        }
        _ => return Ok(None),
    }))
}

const NO_LABEL: &str = "it is no DNS label; write at most 63 small letters, digits and inner hyphens, in quotes where YAML takes them for something else";

fn identity(value: &Value, kind: Kind) -> Result<ObjectRef, Problem> {
    let metadata = value.get("metadata");
    let part = |field: &str| metadata.and_then(|metadata| text(metadata, field));
    let name = part("name").unwrap_or_default();
    if kind == Kind::ExposeClass {
        if ClassName::parse(name).is_none() {
            let problem = "the name of a class is a DNS label; write at most 63 small letters, digits and inner hyphens";
            return Err(("metadata.name", problem.to_owned()));
        }
        return Ok(ObjectRef::cluster(name));
    }
    let wrong =
        "it is missing or no DNS name; write small letters, digits, and inner hyphens and dots";
    if !is_name(name) {
        return Err(("metadata.name", wrong.to_owned()));
    }
    if kind == Kind::IngressClass {
        return Ok(ObjectRef::cluster(name));
    }
    if kind == Kind::Namespace {
        return is_label(name)
            .then(|| ObjectRef::cluster(name))
            .ok_or_else(|| ("metadata.name", NO_LABEL.to_owned()));
    }
    let namespace = match metadata.and_then(|metadata| metadata.get("namespace")) {
        None | Some(Value::Null) => DEFAULT_NAMESPACE,
        // A plain `n` is no text, as it is none for kubectl.
        Some(other) => other.as_str().unwrap_or_default(),
    };
    if !is_label(namespace) {
        return Err(("metadata.namespace", NO_LABEL.to_owned()));
    }
    Ok(ObjectRef::new(namespace, name))
}

/// A DNS name, as most objects have one.
fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    (1..=253).contains(&text.len())
        && text.chars().all(inner)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// A DNS label, as namespaces have one.
fn is_label(text: &str) -> bool {
    is_name(text) && text.len() <= 63 && !text.contains('.')
}

/// Strict, as `kubectl apply` is: a field that nobody knows is a slip of the pen.
fn typed<K: DeserializeOwned>(value: &Value) -> Result<Box<K>, (String, String)> {
    let mut unknown: Option<String> = None;
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let read = serde_ignored::deserialize(tracked, |path| {
        let field = field_of(&path);
        // Judged before; not every type keeps them.
        if !matches!(field.as_str(), "apiVersion" | "kind") {
            unknown.get_or_insert(field);
        }
    });
    match (read, unknown) {
        // Before anything that is missing: perhaps it is what was meant.
        (_, Some(field)) => {
            let problem = "there is no such field; correct its name, or remove it".to_owned();
            Err((field, problem))
        }
        (Err(error), None) => {
            let path = track.path().to_string();
            let field = if path == "." { String::new() } else { path };
            Err((field, error.to_string()))
        }
        (Ok(object), None) => Ok(Box::new(object)),
    }
}

/// As fields are written everywhere else: `spec.hostnames[1]`.
fn field_of(path: &serde_ignored::Path<'_>) -> String {
    use serde_ignored::Path;
    match path {
        Path::Root => String::new(),
        Path::Seq { parent, index } => format!("{}[{index}]", field_of(parent)),
        Path::Map { parent, key } => match field_of(parent) {
            parent if parent.is_empty() => key.clone(),
            parent => format!("{parent}.{key}"),
        },
        Path::Some { parent }
        | Path::NewtypeStruct { parent }
        | Path::NewtypeVariant { parent } => field_of(parent),
    }
}

/// What a cluster would do and nobody does here.
fn needs_cluster(object: &Object) -> Result<(), Problem> {
    match object {
        Object::ExposedPort(it) if it.spec.selector.is_some() => Err((
            "spec.selector",
            "there are no pods here whose labels could match; write service with the name of a Service, and its endpoints as an EndpointSlice".to_owned(),
        )),
        Object::ExposedPort(it) if it.spec.lease.is_some() => Err((
            "spec.lease",
            "there are no Leases here that could be renewed; leave it out, and remove the file when the object is to go".to_owned(),
        )),
        Object::ExposeClass(it) if it.spec.endpoints == Some(AllowedEndpoints::PodsOnly) => Err((
            "spec.endpoints",
            "there are no pods here that requests could go to; remove it".to_owned(),
        )),
        Object::Service(it) => {
            let selector = it.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            if selector.is_none_or(|labels| labels.is_empty()) {
                return Ok(());
            }
            let name = it.metadata.name.as_deref().unwrap_or_default();
            Err((
                "spec.selector",
                format!("there are no pods here whose labels could match; remove it, and write the endpoints as an EndpointSlice with the label kubernetes.io/service-name: {name}"),
            ))
        }
        _ => Ok(()),
    }
}

/// A namespace that nothing is said about.
pub(crate) fn bare_namespace(name: &str) -> Namespace {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    add_name(&mut namespace);
    namespace
}

/// The API server does so on writing, whatever the object says of it.
fn add_name(namespace: &mut Namespace) {
    let name = namespace.metadata.name.clone().unwrap_or_default();
    let labels = namespace.metadata.labels.get_or_insert_default();
    labels.insert(NAMESPACE_NAME.to_owned(), name);
}

/// The API server does so on writing; nobody else reads `stringData`.
fn merge_string_data(secret: &mut Secret) {
    let texts = secret.string_data.take().into_iter().flatten();
    let data = secret.data.get_or_insert_default();
    data.extend(texts.map(|(key, text)| (key, k8s_openapi::ByteString(text.into_bytes()))));
}

#[cfg(test)]
mod tests {
    use super::super::yaml::documents;
    use super::*;

    fn outcomes(text: &str) -> Vec<Outcome> {
        let documents = documents(text).into_iter().map(Result::unwrap);
        documents
            .flat_map(|document| read(document, Home::Here))
            .collect()
    }

    fn fault(text: &str) -> (usize, String, String) {
        match outcomes(text).remove(0) {
            Outcome::Broken(fault) => (fault.line, fault.field, fault.problem),
            other => panic!("{other:?}"),
        }
    }

    fn exposed_port(spec: &str) -> String {
        format!(
            "apiVersion: portolan.dev/v1alpha1\nkind: ExposedPort\nmetadata:\n  name: shop\nspec:\n{spec}"
        )
    }

    #[test]
    fn an_object_without_namespace_is_in_default() {
        let text = exposed_port("  port: 80\n  service: shop\n  hostnames: [shop.test]\n");
        let Outcome::Read {
            key,
            mut object,
            lines,
        } = outcomes(&text).remove(0)
        else {
            panic!()
        };
        assert_eq!(key.to_string(), "ExposedPort default/shop");
        assert_eq!(object.metadata().namespace.as_deref(), Some("default"));
        assert_eq!(lines.of("spec.hostnames[0]"), 8);
    }

    #[test]
    fn a_namespace_bears_its_name_as_a_label_whatever_it_says() {
        let text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: web\n  labels: {tier: gold, kubernetes.io/metadata.name: other}\n";
        let Outcome::Read {
            key,
            object: Object::Namespace(namespace),
            ..
        } = outcomes(text).remove(0)
        else {
            panic!()
        };
        assert_eq!(key.to_string(), "Namespace web");
        let labels = namespace.metadata.labels.unwrap();
        assert_eq!(labels["tier"], "gold");
        assert_eq!(labels["kubernetes.io/metadata.name"], "web");
        let dotted = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a.b}\n";
        assert_eq!(fault(dotted).1, "metadata.name");
    }

    #[test]
    fn a_class_for_pods_only_is_of_no_use_without_pods() {
        let class = "apiVersion: portolan.dev/v1alpha1\nkind: ExposeClass\nmetadata: {name: public}\nspec: {endpoints: PodsOnly}";
        let (_, field, problem) = fault(class);
        assert_eq!(field, "spec.endpoints");
        assert!(problem.starts_with("there are no pods here"), "{problem}");
        assert_eq!(outcomes(&class.replace("PodsOnly", "Any")).len(), 1);
        let document = documents(class).remove(0).unwrap();
        let there = read(document, Home::Cluster).remove(0);
        assert!(matches!(there, Outcome::Read { .. }), "a cluster has pods");
    }

    #[test]
    fn a_fault_names_line_and_field() {
        let of = |spec: &str| {
            let (line, field, _) = fault(&exposed_port(spec));
            (line, field)
        };
        let unknown =
            "  port: 80\n  service: shop\n  hostnmaes: [shop.test]\n  hostnames: [a.test]\n";
        assert_eq!(of(unknown), (8, "spec.hostnmaes".into()));
        let wrong = "  port: 80\n  service: shop\n  hostnames:\n  - shop.test\n  - on\n";
        assert_eq!(of(wrong), (10, "spec.hostnames[1]".into()));
        let selector = "  port: 80\n  selector: {app: shop}\n  hostnames: [shop.test]\n";
        assert_eq!(of(selector), (7, "spec.selector".into()));
        let leased =
            "  port: 80\n  service: shop\n  hostnames: [shop.test]\n  lease: {duration: 30s}\n";
        assert_eq!(of(leased), (9, "spec.lease".into()));
        let (_, field, problem) = fault("kind: Service\nmetadata: {name: x}\n");
        assert_eq!(field, "apiVersion", "{problem}");
        assert_eq!(fault("apiVersion: v1\nkind: Service\n").1, "metadata.name");
        let namespace = "apiVersion: v1\nkind: Service\nmetadata:\n  name: x\n  namespace: n\n";
        let (line, field, _) = fault(namespace);
        assert_eq!((line, field.as_str()), (5, "metadata.namespace"));
        assert_eq!(fault("[1]").1, "");
        assert_eq!(
            fault("apiVersion: portolan.dev/v1\nkind: ExposedPort\n").1,
            "apiVersion"
        );
        assert_eq!(
            fault("apiVersion: portolan.dev/v1alpha1\nkind: ExposedPorts\n").1,
            "kind"
        );
        let class = "apiVersion: portolan.dev/v1alpha1\nkind: ExposeClass\nmetadata: {name: a.b}\nspec: {}\n";
        assert_eq!(fault(class).1, "metadata.name");
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {tls.crt: '!'}\n";
        assert_eq!(fault(secret).0, 4);
    }

    #[test]
    fn a_service_with_a_selector_is_told_to_list_its_endpoints() {
        let service = "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec:\n  ports: [{port: 80}]\n  selector: {app: shop}\n";
        let (line, field, problem) = fault(service);
        assert_eq!((line, field.as_str()), (6, "spec.selector"));
        assert!(
            problem.contains("kubernetes.io/service-name: shop"),
            "{problem}"
        );
    }

    #[test]
    fn what_others_read_is_passed_over() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n";
        let deployment = Outcome::Other {
            kind: "Deployment".into(),
        };
        assert_eq!(outcomes(text), [deployment]);
    }

    #[test]
    fn a_list_is_its_items() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n  spec: {}\n- apiVersion: v1\n  kind: Service\n  metadata: {name: b, namespace: web}\n  spec: {prots: []}\n";
        let all = outcomes(text);
        assert!(
            matches!(&all[0], Outcome::Read { key, .. } if key.to_string() == "Service default/a")
        );
        let Outcome::Broken(fault) = &all[1] else {
            panic!("{all:?}")
        };
        assert_eq!(fault.object.as_ref().unwrap().to_string(), "Service web/b");
        assert_eq!((fault.line, fault.field.as_str()), (11, "spec.prots"));
    }

    #[test]
    fn the_texts_of_a_secret_become_its_data_and_a_status_is_nothing_said() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: eA==}\nstringData: {tls.crt: pem}\nstatus: {x: 1}\n";
        let Outcome::Read {
            object: Object::Secret(secret),
            ..
        } = outcomes(text).remove(0)
        else {
            panic!()
        };
        let data = secret.data.unwrap();
        assert_eq!(
            (&data["a"].0[..], &data["tls.crt"].0[..]),
            (&b"x"[..], &b"pem"[..])
        );
    }
}

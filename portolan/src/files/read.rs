//! Parses documents into objects. Errors name line and field.

use super::object::{Key, Kind, Object};
use super::yaml::{Document, Lines};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use portolan_core::{ClassName, NAMESPACE_NAME, ObjectRef};
use portolan_crds::{AllowedEndpoints, GROUP};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Namespace of objects that set none.
const DEFAULT_NAMESPACE: &str = "default";

/// Environment that the objects are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Target {
    /// This process, without a cluster.
    #[default]
    Standalone,
    /// A cluster.
    Cluster,
}

/// Error in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DocumentError {
    pub(crate) line: usize,
    /// The object, if its identity is known.
    pub(crate) object: Option<Key>,
    /// Empty for the whole document.
    pub(crate) field: String,
    pub(crate) problem: String,
}

/// Result of parsing a document.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Object {
        key: Key,
        lines: Lines,
        object: Object,
    },
    /// Of a kind that is not supported.
    Skipped {
        kind: String,
    },
    Invalid(DocumentError),
}

/// Parses a document: one object, or the items of a List, as `kubectl get -o yaml` prints it.
pub(crate) fn read(document: Document, target: Target) -> Vec<Outcome> {
    let Document { mut value, lines } = document;
    let is_list = text(&value, "kind") == Some("List") && text(&value, "apiVersion") == Some("v1");
    let Some(Value::Array(items)) = value.get_mut("items").filter(|_| is_list).map(Value::take)
    else {
        return vec![one(value, lines, target)];
    };
    let item = |(index, item)| one(item, lines.below(&format!("items[{index}]")), target);
    items.into_iter().enumerate().map(item).collect()
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}

fn one(mut value: Value, lines: Lines, target: Target) -> Outcome {
    let error = |object: Option<&Key>, field: &str, problem: String| {
        Outcome::Invalid(DocumentError {
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
            return Outcome::Skipped { kind };
        }
        Err((field, problem)) => return error(None, field, problem),
    };
    let is_ingress = [Kind::Ingress, Kind::IngressClass].contains(&kind);
    if target == Target::Standalone && is_ingress {
        let kind = kind.as_str().to_owned();
        return Outcome::Skipped { kind };
    }
    let object = match identity(&value, kind) {
        Ok(object) => object,
        Err((field, problem)) => return error(None, field, problem),
    };
    let key = Key { kind, object };
    // The status of a cluster is not part of the object.
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
        Err((field, problem)) => return error(Some(&key), &field, problem),
    };
    if let (Target::Standalone, Err((field, problem))) = (target, needs_cluster(&object)) {
        return error(Some(&key), field, problem);
    }
    match &mut object {
        Object::Secret(secret) => merge_string_data(secret),
        Object::Namespace(namespace) => add_name(namespace),
        _ => {}
    }
    object.metadata().namespace =
        Some(key.object.namespace.clone()).filter(|namespace| !namespace.is_empty());
    Outcome::Object { key, lines, object }
}

type Problem = (&'static str, String);

/// Returns the kind; `None` if it is not supported.
fn kind(value: &Value) -> Result<Option<Kind>, Problem> {
    if !value.is_object() {
        let problem =
            "Invalid value: must be an object with apiVersion, kind, metadata and spec".to_owned();
        return Err(("", problem));
    }
    let required = |field: &'static str, example: &str| {
        text(value, field)
            .filter(|text| !text.is_empty())
            .ok_or_else(|| (field, format!("Required value: such as {example}")))
    };
    let version = required("apiVersion", "portolan.dev/v1alpha1")?;
    let kind = required("kind", "ExposedPort")?;
    Ok(Some(match (version, kind) {
        ("portolan.dev/v1alpha1", "ExposedPort") => Kind::ExposedPort,
        ("portolan.dev/v1alpha1", "ExposeClass") => Kind::ExposeClass,
        // Written by the operator; a folder copied from a cluster may have some. Hostnames are reserved again.
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
            let problem =
                format!("Unsupported value: {version:?}: supported values: \"{GROUP}/v1alpha1\"");
            return Err(("apiVersion", problem));
        }
        _ if version.starts_with(GROUP) => {
            let problem = format!(
                "Unsupported value: {kind:?}: supported values: \"ExposedPort\", \"ExposeClass\""
            );
            return Err(("kind", problem));
        }
        _ => return Ok(None),
    }))
}

const LABEL_REQUIRED: &str = "Invalid value: must be a DNS label: at most 63 lower-case letters, digits and inner hyphens; quote it if YAML reads it as another type";

fn identity(value: &Value, kind: Kind) -> Result<ObjectRef, Problem> {
    let metadata = value.get("metadata");
    let part = |field: &str| metadata.and_then(|metadata| text(metadata, field));
    let name = part("name").unwrap_or_default();
    if kind == Kind::ExposeClass {
        if ClassName::parse(name).is_none() {
            let problem = "Invalid value: must be a DNS label: at most 63 lower-case letters, digits and inner hyphens";
            return Err(("metadata.name", problem.to_owned()));
        }
        return Ok(ObjectRef::cluster(name));
    }
    let invalid =
        "Invalid value: must be a DNS name: lower-case letters, digits, and inner hyphens and dots";
    if !is_name(name) {
        return Err(("metadata.name", invalid.to_owned()));
    }
    if kind == Kind::IngressClass {
        return Ok(ObjectRef::cluster(name));
    }
    if kind == Kind::Namespace {
        return is_label(name)
            .then(|| ObjectRef::cluster(name))
            .ok_or_else(|| ("metadata.name", LABEL_REQUIRED.to_owned()));
    }
    let namespace = match metadata.and_then(|metadata| metadata.get("namespace")) {
        None | Some(Value::Null) => DEFAULT_NAMESPACE,
        // A plain `n` is not a string, as for kubectl.
        Some(other) => other.as_str().unwrap_or_default(),
    };
    if !is_label(namespace) {
        return Err(("metadata.namespace", LABEL_REQUIRED.to_owned()));
    }
    Ok(ObjectRef::new(namespace, name))
}

/// Returns true for a DNS name, as required of most objects.
fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    (1..=253).contains(&text.len())
        && text.chars().all(inner)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

/// Returns true for a DNS label, as required of namespaces.
fn is_label(text: &str) -> bool {
    is_name(text) && text.len() <= 63 && !text.contains('.')
}

/// Deserializes an object strictly, like `kubectl apply`: an unknown field is an error.
fn typed<K: DeserializeOwned>(value: &Value) -> Result<Box<K>, (String, String)> {
    let mut unknown: Option<String> = None;
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(value, &mut track);
    let read = serde_ignored::deserialize(tracked, |path| {
        let field = field_of(&path);
        // Checked before; not every type has them.
        if !matches!(field.as_str(), "apiVersion" | "kind") {
            unknown.get_or_insert(field);
        }
    });
    match (read, unknown) {
        // Takes precedence over a missing field, which may be the same with a typo.
        (_, Some(field)) => {
            let problem = "unknown field; correct its name or remove it".to_owned();
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

/// Formats a path like `spec.hostnames[1]`.
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

/// Rejects fields that need a cluster.
fn needs_cluster(object: &Object) -> Result<(), Problem> {
    match object {
        Object::ExposedPort(port) if port.spec.selector.is_some() => Err((
            "spec.selector",
            "Forbidden: there are no pods without a cluster; set service, and list its endpoints in an EndpointSlice".to_owned(),
        )),
        Object::ExposedPort(port) if port.spec.lease.is_some() => Err((
            "spec.lease",
            "Forbidden: there are no Leases without a cluster; remove it, and delete the file to delete the object".to_owned(),
        )),
        Object::ExposeClass(class) if class.spec.endpoints == Some(AllowedEndpoints::PodsOnly) => Err((
            "spec.endpoints",
            "Forbidden: there are no pods without a cluster; remove it".to_owned(),
        )),
        Object::Service(service) => {
            let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
            if selector.is_none_or(|labels| labels.is_empty()) {
                return Ok(());
            }
            let name = service.metadata.name.as_deref().unwrap_or_default();
            Err((
                "spec.selector",
                format!("Forbidden: there are no pods without a cluster; remove it, and list the endpoints in an EndpointSlice with the label kubernetes.io/service-name: {name}"),
            ))
        }
        _ => Ok(()),
    }
}

/// Returns a namespace without further labels.
pub(crate) fn bare_namespace(name: &str) -> Namespace {
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some(name.to_owned());
    add_name(&mut namespace);
    namespace
}

/// Sets the label of the name, like the API server.
fn add_name(namespace: &mut Namespace) {
    let name = namespace.metadata.name.clone().unwrap_or_default();
    let labels = namespace.metadata.labels.get_or_insert_default();
    labels.insert(NAMESPACE_NAME.to_owned(), name);
}

/// Moves `stringData` into `data`, like the API server.
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
            .flat_map(|document| read(document, Target::Standalone))
            .collect()
    }

    fn error(text: &str) -> (usize, String, String) {
        match outcomes(text).remove(0) {
            Outcome::Invalid(error) => (error.line, error.field, error.problem),
            other => panic!("{other:?}"),
        }
    }

    fn exposed_port(spec: &str) -> String {
        format!(
            "apiVersion: portolan.dev/v1alpha1\nkind: ExposedPort\nmetadata:\n  name: shop\nspec:\n{spec}"
        )
    }

    #[test]
    fn objects_without_namespace_are_in_default() {
        let text = exposed_port("  port: 80\n  service: shop\n  hostnames: [shop.test]\n");
        let Outcome::Object {
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
    fn a_namespace_always_has_the_label_of_its_name() {
        let text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: web\n  labels: {tier: gold, kubernetes.io/metadata.name: other}\n";
        let Outcome::Object {
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
        assert_eq!(error(dotted).1, "metadata.name");
    }

    #[test]
    fn rejects_pods_only_without_a_cluster() {
        let class = "apiVersion: portolan.dev/v1alpha1\nkind: ExposeClass\nmetadata: {name: public}\nspec: {endpoints: PodsOnly}";
        let (_, field, problem) = error(class);
        assert_eq!(field, "spec.endpoints");
        assert!(
            problem.starts_with("Forbidden: there are no pods"),
            "{problem}"
        );
        assert_eq!(outcomes(&class.replace("PodsOnly", "Any")).len(), 1);
        let document = documents(class).remove(0).unwrap();
        let in_cluster = read(document, Target::Cluster).remove(0);
        assert!(
            matches!(in_cluster, Outcome::Object { .. }),
            "a cluster has pods"
        );
    }

    #[test]
    fn errors_name_line_and_field() {
        let of = |spec: &str| {
            let (line, field, _) = error(&exposed_port(spec));
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
        let (_, field, problem) = error("kind: Service\nmetadata: {name: x}\n");
        assert_eq!(field, "apiVersion", "{problem}");
        assert_eq!(error("apiVersion: v1\nkind: Service\n").1, "metadata.name");
        let namespace = "apiVersion: v1\nkind: Service\nmetadata:\n  name: x\n  namespace: n\n";
        let (line, field, _) = error(namespace);
        assert_eq!((line, field.as_str()), (5, "metadata.namespace"));
        assert_eq!(error("[1]").1, "");
        assert_eq!(
            error("apiVersion: portolan.dev/v1\nkind: ExposedPort\n").1,
            "apiVersion"
        );
        assert_eq!(
            error("apiVersion: portolan.dev/v1alpha1\nkind: ExposedPorts\n").1,
            "kind"
        );
        let class = "apiVersion: portolan.dev/v1alpha1\nkind: ExposeClass\nmetadata: {name: a.b}\nspec: {}\n";
        assert_eq!(error(class).1, "metadata.name");
        let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {tls.crt: '!'}\n";
        assert_eq!(error(secret).0, 4);
    }

    #[test]
    fn rejects_a_selector_without_a_cluster() {
        let service = "apiVersion: v1\nkind: Service\nmetadata: {name: shop}\nspec:\n  ports: [{port: 80}]\n  selector: {app: shop}\n";
        let (line, field, problem) = error(service);
        assert_eq!((line, field.as_str()), (6, "spec.selector"));
        assert!(
            problem.contains("kubernetes.io/service-name: shop"),
            "{problem}"
        );
    }

    #[test]
    fn skips_other_kinds() {
        let text = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\n";
        let deployment = Outcome::Skipped {
            kind: "Deployment".into(),
        };
        assert_eq!(outcomes(text), [deployment]);
    }

    #[test]
    fn expands_lists() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n  spec: {}\n- apiVersion: v1\n  kind: Service\n  metadata: {name: b, namespace: web}\n  spec: {prots: []}\n";
        let all = outcomes(text);
        assert!(
            matches!(&all[0], Outcome::Object { key, .. } if key.to_string() == "Service default/a")
        );
        let Outcome::Invalid(error) = &all[1] else {
            panic!("{all:?}")
        };
        assert_eq!(error.object.as_ref().unwrap().to_string(), "Service web/b");
        assert_eq!((error.line, error.field.as_str()), (11, "spec.prots"));
    }

    #[test]
    fn merges_string_data_and_drops_status() {
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: eA==}\nstringData: {tls.crt: pem}\nstatus: {x: 1}\n";
        let Outcome::Object {
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

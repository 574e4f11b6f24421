//! Metadata of every child: its owner, and that Portolan manages it.

use crate::child::Child;
use crate::names::short_hash;
use crate::{MANAGED_BY, OWNER_NAMESPACE, OWNER_UID};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The longest value of a label.
const LABEL_MAX: usize = 63;

/// The object that a child belongs to.
pub(super) struct Owner<'a> {
    /// Group and version.
    pub(super) api_version: String,
    /// `ExposedPort`, `Ingress` or `ExposeClass`.
    pub(super) kind: &'static str,
    /// Empty when it is of the cluster.
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
    /// The key of the label, and of the annotation, that carries the owner's name.
    pub(super) label: &'static str,
    /// Labels of every child besides.
    pub(super) labels: BTreeMap<String, String>,
}

impl Owner<'_> {
    /// The value of the owner's label.
    pub(super) fn label_value(&self) -> String {
        if self.name.len() <= LABEL_MAX {
            self.name.to_owned()
        } else {
            short_hash(&[self.name])
        }
    }

    /// Every label, as they stand in `metadata.labels`.
    pub(super) fn labels(&self) -> Value {
        let others = self.labels.iter();
        let mut labels: Map<String, Value> = others
            .map(|(key, value)| (key.clone(), value.clone().into()))
            .collect();
        labels.insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.into());
        labels.insert(self.label.to_owned(), self.label_value().into());
        Value::Object(labels)
    }

    fn reference(&self) -> Value {
        json!({
            "apiVersion": self.api_version,
            "kind": self.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        })
    }

    /// An object of this owner; `rest` holds everything but `apiVersion`, `kind` and `metadata`.
    pub(super) fn child(
        &self,
        api_version: &'static str,
        kind: &'static str,
        namespace: &str,
        name: String,
        rest: Value,
    ) -> Child {
        let mut annotations = Map::new();
        annotations.insert(OWNER_UID.to_owned(), self.uid.into());
        if self.name.len() > LABEL_MAX {
            annotations.insert(self.label.to_owned(), self.name.into());
        }
        // The garbage collector looks for an owner in the namespace of the child, and takes one of another
        // namespace for gone.
        let elsewhere = !self.namespace.is_empty() && self.namespace != namespace;
        if elsewhere {
            annotations.insert(OWNER_NAMESPACE.to_owned(), self.namespace.into());
        }
        let mut metadata = json!({
            "name": name,
            "labels": self.labels(),
            "annotations": annotations,
        });
        if let Some(metadata) = metadata.as_object_mut() {
            if !namespace.is_empty() {
                metadata.insert("namespace".to_owned(), namespace.into());
            }
            if !elsewhere {
                metadata.insert("ownerReferences".to_owned(), json!([self.reference()]));
            }
        }
        let mut value = json!({"apiVersion": api_version, "kind": kind, "metadata": metadata});
        if let (Value::Object(value), Value::Object(rest)) = (&mut value, rest) {
            value.extend(rest);
        }
        Child {
            api_version,
            kind,
            namespace: namespace.to_owned(),
            name,
            owner_uid: self.uid.to_owned(),
            value,
        }
    }
}

//! References from one object to another, by name.

use crate::names::ObjectRef;

/// Reference to an object by name, in the namespace of the referring object or in another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    namespace: Option<String>,
    name: String,
}

impl Reference {
    /// An empty namespace counts as none.
    pub(super) fn new(namespace: Option<&String>, name: &str) -> Self {
        Self {
            namespace: namespace.filter(|namespace| !namespace.is_empty()).cloned(),
            name: name.to_owned(),
        }
    }

    /// Returns the object that is meant in an object of this namespace.
    pub(crate) fn within(&self, namespace: &str) -> ObjectRef {
        ObjectRef::new(self.namespace.as_deref().unwrap_or(namespace), &self.name)
    }
}

impl From<&portolan_crds::SecretRef> for Reference {
    fn from(spec: &portolan_crds::SecretRef) -> Self {
        Self::new(spec.namespace.as_ref(), &spec.name)
    }
}

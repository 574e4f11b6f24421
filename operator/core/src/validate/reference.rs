//! References from one object to another, by name.

use crate::names::ObjectRef;

/// Something by name, in the namespace of the object that names it or in another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    namespace: Option<String>,
    name: String,
}

impl Reference {
    /// An empty namespace is as good as none.
    pub(super) fn new(namespace: Option<&String>, name: &str) -> Self {
        Self {
            namespace: namespace.filter(|it| !it.is_empty()).cloned(),
            name: name.to_owned(),
        }
    }

    /// What is meant, when an object of a namespace says it.
    pub(crate) fn within(&self, namespace: &str) -> ObjectRef {
        ObjectRef::new(self.namespace.as_deref().unwrap_or(namespace), &self.name)
    }
}

impl From<&portolan_crds::SecretRef> for Reference {
    fn from(said: &portolan_crds::SecretRef) -> Self {
        Self::new(said.namespace.as_ref(), &said.name)
    }
}

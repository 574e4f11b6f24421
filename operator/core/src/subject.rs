//! Subjects of the index: everything that is exposed under a hostname.

use crate::names::{Hostname, ObjectRef};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// An ExposedPort, or one hostname of an Ingress, which is held, merged and served like an ExposedPort.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An ExposedPort.
    ExposedPort(ObjectRef),
    /// One hostname of an Ingress.
    IngressHost {
        /// The Ingress.
        ingress: ObjectRef,
        /// The hostname, as one of its rules has it.
        host: Hostname,
    },
}

impl Subject {
    /// Names an ExposedPort.
    pub fn exposed_port(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self::ExposedPort(ObjectRef::new(namespace, name))
    }

    /// Names a hostname of an Ingress.
    pub fn ingress_host(ingress: &ObjectRef, host: &Hostname) -> Self {
        Self::IngressHost {
            ingress: ingress.clone(),
            host: host.clone(),
        }
    }

    /// The object in the cluster: the ExposedPort, or the Ingress.
    pub fn object(&self) -> &ObjectRef {
        match self {
            Self::ExposedPort(object)
            | Self::IngressHost {
                ingress: object, ..
            } => object,
        }
    }

    /// `metadata.namespace` of the object.
    pub fn namespace(&self) -> &str {
        &self.object().namespace
    }

    /// `metadata.name` of the object.
    pub fn name(&self) -> &str {
        &self.object().name
    }

    /// The Ingress, of one of its hostnames.
    pub fn ingress(&self) -> Option<&ObjectRef> {
        match self {
            Self::ExposedPort(_) => None,
            Self::IngressHost { ingress, .. } => Some(ingress),
        }
    }

    /// The hostname, of an Ingress.
    pub fn host(&self) -> Option<&Hostname> {
        match self {
            Self::ExposedPort(_) => None,
            Self::IngressHost { host, .. } => Some(host),
        }
    }

    /// Base of the names of its children. No object has a slash in its name, so two subjects of a
    /// namespace never share one.
    pub(crate) fn child_base(&self) -> Cow<'_, str> {
        match self {
            Self::ExposedPort(object) => Cow::Borrowed(&object.name),
            Self::IngressHost { .. } => Cow::Owned(self.base_parts().concat()),
        }
    }

    fn base_parts(&self) -> [&str; 4] {
        match self {
            Self::ExposedPort(object) => [&object.name, "", "", ""],
            Self::IngressHost { ingress, host } => ["ingress/", &ingress.name, "/", host.as_str()],
        }
    }

    /// The subject in a sentence, with its kind.
    pub(crate) fn with_kind(&self) -> String {
        match self {
            Self::ExposedPort(_) => format!("ExposedPort \"{self}\""),
            Self::IngressHost { ingress, .. } => format!("Ingress \"{ingress}\""),
        }
    }
}

impl Ord for Subject {
    /// By namespace, then by [`Self::child_base`]: of two that are equally old the first has the older one's
    /// rights.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::ExposedPort(object), Self::ExposedPort(other)) => object.cmp(other),
            _ => {
                let namespaces = self.namespace().cmp(other.namespace());
                namespaces.then_with(|| {
                    let [base, other] = [self, other].map(|subject| subject.base_parts());
                    let bytes = base.into_iter().flat_map(str::bytes);
                    bytes.cmp(other.into_iter().flat_map(str::bytes))
                })
            }
        }
    }
}

impl PartialOrd for Subject {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExposedPort(object) => object.fmt(f),
            Self::IngressHost { ingress, .. } => write!(f, "Ingress {ingress}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_of_shop(name: &str) -> Subject {
        let ingress = ObjectRef::new("team-a", "shop");
        Subject::ingress_host(&ingress, &Hostname::parse(name).unwrap())
    }

    #[test]
    fn hostname_of_an_ingress_is_displayed_as_the_ingress() {
        let subject = host_of_shop("*.e.test");
        assert_eq!(subject.ingress(), Some(&ObjectRef::new("team-a", "shop")));
        assert_eq!(subject.name(), "shop");
        assert_eq!(subject.host().map(Hostname::as_str), Some("*.e.test"));
        assert_eq!(subject.to_string(), "Ingress team-a/shop");
        assert_eq!(subject.with_kind(), "Ingress \"team-a/shop\"");
        let port = Subject::exposed_port("team-a", "shop");
        assert_eq!(port.ingress(), None);
        assert_eq!(port.name(), "shop");
        assert_eq!(port.with_kind(), "ExposedPort \"team-a/shop\"");
    }

    #[test]
    fn base_of_children_never_changes() {
        // Names in clusters are made from it.
        assert_eq!(
            host_of_shop("*.e.test").child_base(),
            "ingress/shop/*.e.test"
        );
        assert_eq!(Subject::exposed_port("n", "shop").child_base(), "shop");
    }

    #[test]
    fn orders_by_namespace_then_by_base() {
        let mut subjects = [
            Subject::exposed_port("team-b", "a"),
            host_of_shop("b.test"),
            Subject::exposed_port("team-a", "shop"),
            host_of_shop("a.test"),
            Subject::exposed_port("team-a", "ingress"),
            Subject::exposed_port("team-a", "blog"),
        ];
        subjects.sort();
        let expected = [
            Subject::exposed_port("team-a", "blog"),
            Subject::exposed_port("team-a", "ingress"),
            host_of_shop("a.test"),
            host_of_shop("b.test"),
            Subject::exposed_port("team-a", "shop"),
            Subject::exposed_port("team-b", "a"),
        ];
        assert_eq!(subjects, expected);
    }
}

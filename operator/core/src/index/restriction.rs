//! Namespaces whose pods are private until they are exposed.

use super::Index;
use super::demands::Demands;
use crate::event::Affected;
use crate::names::{ClassName, ObjectRef};
use std::collections::BTreeSet;

/// Whose pods the cluster itself needs: no class restricts them.
const NEVER: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

impl Index {
    /// Whether a class restricts a namespace. That of the release has policies of its own.
    fn restricts(&self, class: &ClassName, namespace: &str) -> bool {
        let class = self.classes.get(class);
        let may = namespace != self.namespace && !NEVER.contains(&namespace);
        may && class.is_some_and(|it| it.restricts(self.namespaces.home(namespace)))
    }

    /// Whether any class does.
    pub(crate) fn is_restricted(&self, namespace: &str) -> bool {
        let mut classes = self.classes.names();
        classes.any(|class| self.restricts(class, namespace))
    }

    /// The namespaces that a class restricts.
    pub(crate) fn restricted_by(&self, class: &ClassName) -> impl Iterator<Item = &str> {
        let all = self.namespaces.names();
        all.filter(|namespace| self.restricts(class, namespace))
    }

    /// The namespaces that any class restricts.
    pub(super) fn restricted(&self) -> BTreeSet<String> {
        let all = self.namespaces.names();
        let restricted = all.filter(|namespace| self.is_restricted(namespace));
        restricted.map(str::to_owned).collect()
    }

    /// The classes that restrict a namespace.
    pub(super) fn restricting(&self, namespace: &str) -> BTreeSet<ClassName> {
        let classes = self.classes.names();
        let restricting = classes.filter(|class| self.restricts(class, namespace));
        restricting.cloned().collect()
    }

    /// Marks whoever has endpoints in a namespace that is restricted now, or no longer.
    pub(super) fn touch_restricted(&self, namespace: &str, affected: &mut Affected) {
        let users = self.users.of_services_in(namespace);
        affected.objects.extend(users.cloned());
    }

    /// What is asked of the backends of an object by each class whose proxies send requests to them: those
    /// on which it, or a root above it, serves a hostname.
    pub(crate) fn exposed_on(&self, me: &ObjectRef) -> BTreeSet<&Demands> {
        let roots = self.roots_of(me).into_iter();
        roots
            .filter_map(|root| {
                let (_, link) = self.linked(&root)?;
                self.served(&root, link).next()?;
                Some(&link.demands)
            })
            .collect()
    }
}

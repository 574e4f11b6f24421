//! Namespaces whose pods are private until they are exposed.

use crate::event::Affected;
use crate::index::Index;
use crate::index::store::classes::Class;
use crate::names::ClassName;
use std::collections::BTreeSet;

/// Whose pods the cluster itself needs: no class restricts them.
const NEVER: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

impl Index {
    /// Returns true if a class restricts a namespace. That of the release has policies of its own.
    fn restricts(&self, class: Option<&Class>, namespace: &str) -> bool {
        let may = namespace != self.namespace && !NEVER.contains(&namespace);
        may && class.is_some_and(|class| class.restricts(self.namespaces.home(namespace)))
    }

    /// Returns true if any class does.
    pub(crate) fn is_restricted(&self, namespace: &str) -> bool {
        let mut classes = self.classes.names();
        classes.any(|class| self.restricts(self.classes.get(class), namespace))
    }

    /// The namespaces that a class restricts.
    pub(crate) fn restricted_by(&self, class: &ClassName) -> impl Iterator<Item = &str> {
        let all = self.namespaces.names();
        let class = self.classes.get(class);
        all.filter(move |namespace| self.restricts(class, namespace))
    }

    /// The classes that restrict a namespace.
    pub(in crate::index) fn restricting(&self, namespace: &str) -> BTreeSet<ClassName> {
        let classes = self.classes.names();
        let restricting =
            classes.filter(|class| self.restricts(self.classes.get(class), namespace));
        restricting.cloned().collect()
    }

    /// Marks the objects with endpoints where a class restricts now, or no longer.
    pub(in crate::index) fn mark_restriction(
        &self,
        before: Option<&Class>,
        now: Option<&Class>,
        affected: &mut Affected,
    ) {
        let policy =
            |class: Option<&Class>| class.and_then(|class| class.spec.network_policy.clone());
        if policy(before) == policy(now) {
            return;
        }
        let all = self.namespaces.names();
        for namespace in all
            .filter(|namespace| self.restricts(before, namespace) != self.restricts(now, namespace))
        {
            self.mark_restricted(namespace, affected);
        }
    }

    /// Marks the objects with endpoints in a namespace that is restricted now, or no longer.
    pub(in crate::index) fn mark_restricted(&self, namespace: &str, affected: &mut Affected) {
        let users = self.users.of_services_in(namespace);
        affected.objects.extend(users.cloned());
    }
}

//! Checks backends against the requirements of a class.

use crate::index::Index;
use crate::index::requirements::BackendRequirements;
use crate::index::resolve::backends::ResolvedBackend;
use crate::index::store::services::Services;
use crate::index::unresolved::Unresolved;
use crate::reason::Reason;
use crate::subject::Subject;
use portolan_crds::BackendEncryption;
use std::collections::BTreeSet;

impl BackendRequirements {
    /// Checks that requests may go to a backend.
    pub(in crate::index) fn check(
        &self,
        backend: &ResolvedBackend,
        services: &Services,
    ) -> Result<(), Unresolved> {
        if self.pods_only
            && let Some(name) = services.stands_for(&backend.backend.service)
        {
            return Err(Unresolved {
                reason: Reason::ForeignEndpoint,
                message: format!(
                    "{}: Forbidden: Service {:?} has externalName {name:?}, and class {:?} sends requests to pods only; name a Service with pods, or set spec.endpoints: Any in the class",
                    backend.place.field("service"),
                    backend.backend.display_name,
                    self.class.as_str()
                ),
            });
        }
        if self.encryption != BackendEncryption::Tls || backend.tls.is_some() {
            return Ok(());
        }
        Err(Unresolved {
            reason: Reason::BackendNotEncrypted,
            message: format!(
                "{}: Forbidden: {}, and class {:?} requires TLS; {}",
                backend.tls_field(),
                backend.plaintext_detail(),
                self.class.as_str(),
                backend.tls_remedy()
            ),
        })
    }
}

impl Index {
    /// Returns true if a class that an object is served under sends requests to pods only.
    pub(in crate::index) fn asks_for_pods(&self, subject: &Subject) -> bool {
        self.requirements_on(subject)
            .iter()
            .any(|requirements| requirements.pods_only)
    }

    /// Requirements on the backends of an object: by its class, or by those of all roots above it.
    pub(crate) fn requirements_on(&self, subject: &Subject) -> BTreeSet<&BackendRequirements> {
        let roots = self.roots_of(subject).into_iter();
        roots
            .filter_map(|root| Some(&self.linked(&root)?.1.requirements))
            .collect()
    }

    /// Requirements on them by each class whose proxies send requests to them: those on which the object,
    /// or a root above it, serves a hostname.
    pub(crate) fn exposed_on(&self, subject: &Subject) -> BTreeSet<&BackendRequirements> {
        let roots = self.roots_of(subject).into_iter();
        roots
            .filter_map(|root| {
                let (_, link) = self.linked(&root)?;
                self.served(&root, link).next()?;
                Some(&link.requirements)
            })
            .collect()
    }
}

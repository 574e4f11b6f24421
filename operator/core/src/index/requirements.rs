//! Requirements of a class on the backends that its requests go to.

use crate::index::store::classes::Class;
use crate::names::ClassName;
use portolan_crds::BackendEncryption;

/// Requirements of a class on backends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct BackendRequirements {
    /// Who asks.
    pub(crate) class: ClassName,
    pub(crate) encryption: BackendEncryption,
    /// Requests go to pods of the Service's namespace only.
    pub(crate) pods_only: bool,
}

impl BackendRequirements {
    pub(crate) fn of(name: &ClassName, class: &Class) -> Self {
        Self {
            class: name.clone(),
            encryption: class.spec.backend_encryption.unwrap_or_default(),
            pods_only: class.pods_only(),
        }
    }
}
